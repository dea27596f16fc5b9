"""The settings of an administrator, the place of each value, and the report of wrong values."""
