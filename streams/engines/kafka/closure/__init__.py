"""Causes and receipts in, proofs and findings of late guards out."""
