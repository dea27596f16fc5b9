"""What happens while Velero backs up, and when a backup is deleted: capture, withhold, seal, purge."""
