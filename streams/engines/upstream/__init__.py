"""The log as the feed of another server hands it on."""
