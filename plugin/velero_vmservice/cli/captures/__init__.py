"""The commands that look at captures, and at what they protect."""
