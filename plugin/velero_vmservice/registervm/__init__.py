"""Calls of RegisterVM: when they are allowed, the record of each call, and its outcome."""
