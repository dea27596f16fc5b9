"""Calling RegisterVM: when it is allowed, the record of each call, and what became of it."""
