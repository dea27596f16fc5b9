"""The captures that lie in the buckets, Velero's and our own alike: found, read, compared, kept."""
