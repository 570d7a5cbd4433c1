"""Small models of the protocol, explored completely, and the ledger compared with them."""
