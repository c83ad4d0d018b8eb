"""Actuators: what ends at its issuer what is dead here. One folder a vendor."""
