"""Kubernetes: audit events of an API server."""
