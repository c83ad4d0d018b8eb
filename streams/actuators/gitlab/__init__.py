"""GitLab: access tokens, deploy tokens and users of one instance."""
