"""Microsoft Entra: users, service principals and applications of one tenant."""
