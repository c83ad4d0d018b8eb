"""What is to be ended at its issuer next, and what the answers to that mean; pure."""
