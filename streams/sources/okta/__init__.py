"""Okta: System Log events and Event Hooks."""
