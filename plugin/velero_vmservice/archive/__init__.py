"""The documents of a backup in the bucket: their form, how they are made and checked (docs/archive-format.md)."""
