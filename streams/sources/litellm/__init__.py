"""LiteLLM: the audit log of virtual keys."""
