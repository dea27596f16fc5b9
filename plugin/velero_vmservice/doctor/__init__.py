"""Checks whether the plugin can work in this cluster: what is checked, what is established, and what to do."""
