"""The demo: a recorded vault log in; a revocation, a denial and an alert out."""
