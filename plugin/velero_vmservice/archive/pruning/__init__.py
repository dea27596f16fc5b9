"""What is no longer needed in a bucket: captures without a backup, results of old restores; and what still is."""
