"""The live Supervisor: one look at a namespace, and whether a VM in it is ready."""
