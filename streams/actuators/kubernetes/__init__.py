"""Kubernetes: service accounts, token secrets and pods of one cluster."""
