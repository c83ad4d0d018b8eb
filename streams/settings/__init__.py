"""Settings: their models, and what is wrong with those that a person wrote."""
