"""Velero plugin for VM Service: capture, replay and verify the application around restored VMs."""

__version__ = "0.1.0"
