"""The answers to an operator's questions, as plain values.

They come from the ledger and from what `aws` has read. Nothing here sends a request to Arena,
changes anything, or knows how an answer is shown. Times are epoch seconds, or None.
"""
