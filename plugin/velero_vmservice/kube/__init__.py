"""Kubernetes objects of any kind, and the API that holds them."""
