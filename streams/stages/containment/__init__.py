"""Containment: what a finding names is suspended by a rule of the settings."""
