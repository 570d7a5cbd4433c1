"""Arena export runs: intake, coalescing, lease, submission, polling, publishing, sessions, budget.

The import arrow runs one way: handlers -> domain <- adapters. `wiring` alone knows both ends.
"""
