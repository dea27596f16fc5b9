"""Decisions, pure: no clock, no I/O, no library beyond pydantic for documents that are read back."""
