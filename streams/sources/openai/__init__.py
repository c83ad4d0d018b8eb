"""OpenAI: the organisation audit log."""
