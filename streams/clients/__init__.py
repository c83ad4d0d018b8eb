"""Clients of Rescind's own API and of issuers' tokens and keys."""
