"""Whether what was replayed is what was captured: applications, VMs, endpoints."""
