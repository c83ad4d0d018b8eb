"""When servers and gateways stop allowing a credential, with a guard and without."""
