"""What any Kubernetes object is, whatever its kind, and the API that holds it."""
