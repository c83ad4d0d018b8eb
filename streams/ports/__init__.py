"""What the services ask of an engine: a log of facts, and a store of keyed bodies."""
