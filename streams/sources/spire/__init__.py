"""SPIRE: the audit log of a server."""
