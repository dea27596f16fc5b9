"""The report of a restore: its model, how it is made of results, where it is stored, what to do next."""
