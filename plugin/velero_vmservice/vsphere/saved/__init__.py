"""What a VADP product has saved of a VM: its VMX file, what is in it, and what a restore from it would lack."""
