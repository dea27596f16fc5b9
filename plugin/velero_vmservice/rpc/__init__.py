"""What Velero calls: sockets, sessions and the plugin protocol. No decision about a backup is made here."""
