"""Any JSON log, read by a mapping file."""
