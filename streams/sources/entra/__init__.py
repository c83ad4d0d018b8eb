"""Microsoft Entra: audit events, sign-ins, Graph notifications."""
