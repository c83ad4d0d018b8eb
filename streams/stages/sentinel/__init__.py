"""Accesses joined with causes: uses of what is dead, and of what nobody declared."""
