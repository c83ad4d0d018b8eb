"""AWS: access keys, passwords, users and roles of one account."""
