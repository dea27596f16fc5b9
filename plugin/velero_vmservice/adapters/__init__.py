"""The only code that talks to the world: Kubernetes, S3, the plugin directory."""
