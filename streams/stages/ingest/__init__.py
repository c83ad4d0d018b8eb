"""Which facts of a batch get in: entitlement, limits, dead letters, source health."""
