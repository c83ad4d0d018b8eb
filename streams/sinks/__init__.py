"""Give findings the form that other tools expect, and deliver them."""
