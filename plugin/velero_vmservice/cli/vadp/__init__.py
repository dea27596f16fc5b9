"""The commands that the scripts of a VADP job run."""
