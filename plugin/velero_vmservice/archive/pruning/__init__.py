"""What nothing in the bucket is needed for any more: captures without a backup, results of restores past an age."""
