"""What Velero calls during a restore: replay, leave, pods, and VMs without an application."""
