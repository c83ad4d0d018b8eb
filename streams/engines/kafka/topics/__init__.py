"""Topics: compared with the layout, made so, watched; and the rights on them."""
