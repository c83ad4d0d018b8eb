"""Keycloak: user events and admin events."""
