"""OpenBao and HashiCorp Vault: audit devices."""
