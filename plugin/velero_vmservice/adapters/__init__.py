"""The only code that talks to the world: Kubernetes, S3, vCenter, a registration engine, the clock."""
