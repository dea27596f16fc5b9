"""Doing what was decided for one object: create, update, probe, or only try."""
