"""Keycloak: sessions, users, clients and consents of one realm."""
