"""Puts the parts together: the one package that knows both the domain and its adapters.

A module for each function, so that none loads what it does not use: a cold start pays for each
import. `Parts` holds the outer parts, so that a test can hand in its own.
"""
