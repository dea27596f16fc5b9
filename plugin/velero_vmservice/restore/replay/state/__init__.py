"""What a process remembers of a restore between two polls; all of it can be lost."""
