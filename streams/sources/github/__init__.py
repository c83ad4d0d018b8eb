"""GitHub: webhooks, the audit log, secret scanning."""
