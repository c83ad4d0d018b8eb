"""OpenAI: API keys, service accounts and members of one organisation."""
