"""Transport to servers: proxies, certificates, and limits on answers."""
