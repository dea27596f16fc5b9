"""How a request reaches a server: proxies, certificates, and answers that have an end."""
