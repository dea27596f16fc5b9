"""What a restore leaves behind: results, kept until the store takes them, and Events."""
