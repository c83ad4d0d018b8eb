"""The audit chain: how it is bound together, cut into portions and checked."""
