"""When servers and gateways stop allowing a credential, with a guard and without.

``python -m bench gateways``. The programs that run in environments of others import
this package too: it loads nothing by itself.
"""
