"""Arena export runs: intake, coalescing, lease, submission, polling, publishing, sessions, budget.

The import arrow runs one way: handlers -> domain <- adapters. `wiring` alone knows both ends.
"""

import gc

# What a cold start loads stays: to look for garbage among it takes a tenth of the cold start.
gc.set_threshold(50_000)
