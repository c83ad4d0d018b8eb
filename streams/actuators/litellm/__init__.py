"""LiteLLM: the virtual keys of users and teams of one proxy."""
