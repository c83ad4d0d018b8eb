"""SCIM 2.0: requests of directories."""
