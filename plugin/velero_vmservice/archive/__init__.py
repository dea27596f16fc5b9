"""What a backup keeps in the bucket: the documents, how they are made and checked (docs/archive-format.md)."""
