"""Read from the ledger what became of a request, and why it is pending."""
