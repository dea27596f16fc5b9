"""The sources that report a VM's registration, in one model, and what their answers add up to."""
