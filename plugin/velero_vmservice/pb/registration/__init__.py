"""The registration engine API, `protos/registration`."""
