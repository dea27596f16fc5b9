"""Velero's side of the plugin: sockets, sessions and the plugin protocol. No decision about a backup is made here."""
