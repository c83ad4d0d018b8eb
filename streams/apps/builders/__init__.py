"""Parts of a process, built from its settings."""
