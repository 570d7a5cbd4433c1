"""Puts the parts together: the one package that knows both the services and the adapters.

Each function has a module of its own, because every import adds to the cold start. `Dependencies`
has what comes from outside, so that a test can pass in fakes.
"""
