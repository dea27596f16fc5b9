"""The ports' implementations for the world: Kubernetes, S3, vCenter, a registration engine, the clock."""
