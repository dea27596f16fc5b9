"""Commands that containers of Velero's pod run: what puts the plugin there, and the sidecar."""
