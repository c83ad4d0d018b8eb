"""A decision of a guard as a line of an access log, for Rescind's sentinel."""

from enforcement.decisions import decision

__all__ = ["decision"]
