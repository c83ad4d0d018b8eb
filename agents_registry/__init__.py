"""The pure core: facts in, verdicts out. No IO, no clock, no randomness."""
