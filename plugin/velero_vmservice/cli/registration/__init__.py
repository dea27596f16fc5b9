"""The commands below `velero-vmservice registration`."""
