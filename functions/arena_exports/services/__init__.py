"""The steps of a request's life, each as a service that works with ports and the ledger."""
