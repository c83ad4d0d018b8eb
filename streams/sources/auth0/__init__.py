"""Auth0: log streams."""
