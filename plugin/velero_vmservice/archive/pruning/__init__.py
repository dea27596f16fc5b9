"""Removes what is no longer needed from the bucket: captures without a backup, results of old restores."""
