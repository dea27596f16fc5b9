"""vCenter over SOAP and REST: inventory, sessions, RegisterVM."""
