"""GitGuardian: webhooks on secrets that were found."""
