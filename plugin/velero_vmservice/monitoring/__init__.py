"""Monitoring over HTTP, for Prometheus and Kubernetes' probes."""
