"""What watches the plugin: Prometheus and Kubernetes' probes, over HTTP."""
