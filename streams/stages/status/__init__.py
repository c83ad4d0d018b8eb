"""Token status lists."""
