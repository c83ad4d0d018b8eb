"""A system of your own: it is told by a signed webhook, and asked by another one."""
