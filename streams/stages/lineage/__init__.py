"""The neighbourhood of an identifier, as much of it as a page can show."""
