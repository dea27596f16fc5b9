"""What happens while Velero restores: decisions on typed values, and the replay that carries them out."""
