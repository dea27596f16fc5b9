"""Whether a backup could be restored, and a restore could begin: the guide's checklists (5.1, 9.1, 9.2)."""
