"""The steps of a request's life: each is a service on top of the ports and the ledger."""
