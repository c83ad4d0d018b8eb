"""Requests to other systems: one HTTP client, and one way to get an access token."""
