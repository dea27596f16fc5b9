"""`velero-vmservice preflight`: the checklists before a backup and before a restore."""
