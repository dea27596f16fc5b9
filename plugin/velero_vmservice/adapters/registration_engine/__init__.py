"""A registration engine of another vendor, over `protos/registration/v1`."""
