"""Shared Signals: CAEP and RISC security event tokens."""
