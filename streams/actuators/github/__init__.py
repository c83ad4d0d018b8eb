"""GitHub: what one GitHub App may end in one organisation."""
