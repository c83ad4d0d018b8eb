"""The policy decision point: a guard that answers over HTTP, for gateways."""
