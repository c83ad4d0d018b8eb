"""One table for all processes of a host: the agent that keeps it, and its readers."""
