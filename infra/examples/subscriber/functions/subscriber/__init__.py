"""Handles delivered export runs."""
