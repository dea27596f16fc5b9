"""Who says that a VM is registered, in one model for every source, and what their answers amount to."""
