"""Storage of documents: what it has to hold, which keys it takes, how a document is written once and read back."""
