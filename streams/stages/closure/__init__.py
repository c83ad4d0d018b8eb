"""The proof that every enforcement point enforces a revocation."""
