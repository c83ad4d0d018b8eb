"""How credentials, agents and accounts stand, before anything happens."""
