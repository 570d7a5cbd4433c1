"""Exports Arena items: records requests, starts and polls export runs, publishes the outcomes.

Imports go one way: handlers, services, domain. Adapters implement the ports; `wiring` joins them.
"""

import gc

# What a cold start loads stays in use; collecting garbage would take a tenth of the cold start.
gc.set_threshold(50_000)
