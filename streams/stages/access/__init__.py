"""Uses of credentials: who called, in columns, remembered and found again."""
