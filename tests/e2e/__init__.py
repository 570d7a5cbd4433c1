"""The deployed template, as users meet it."""
