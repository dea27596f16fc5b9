"""Which capture fits the VMs that are there: what is read for it, and the pure ranking."""
