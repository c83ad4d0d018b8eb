"""What a vendor's poll is made of: its settings, and which request comes next."""
