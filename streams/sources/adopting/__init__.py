"""What a vendor's list of existing credentials is made of."""
