"""The commands that rehearse a restore, and that show what rehearsals came to."""
