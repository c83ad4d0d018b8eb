"""The audit chains of partitions, signed heads, exports."""
