"""OpenBao and HashiCorp Vault: tokens, leases and entities."""
