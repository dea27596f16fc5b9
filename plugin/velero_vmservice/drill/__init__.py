"""A rehearsal of a restore on a working day: nothing is created, nothing is powered."""
