"""Looks up in the ledger what happened to a request, and why it is pending."""
