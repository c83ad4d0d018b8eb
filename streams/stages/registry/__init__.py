"""The table of a realm, and what each new fact condemned in it."""
