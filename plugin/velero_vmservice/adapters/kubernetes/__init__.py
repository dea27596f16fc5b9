"""The Kubernetes API behind its port: client, login, discovery, errors."""
