"""Which captures of the command are no longer needed: by age, by number, and never the last good one."""
