"""Checks of what is deployed: template, policies, state machine, and artifact."""
