"""Okta: users, their sessions and tokens, API tokens and apps of one org."""
