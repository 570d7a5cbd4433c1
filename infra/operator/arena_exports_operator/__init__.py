"""The operator's tool of a deployed stack.

`answers` returns plain values from the ledger, `aws` from AWS; `command` renders them.
"""
