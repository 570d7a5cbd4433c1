"""The benchmarks: requests, polls, latency and cost of this stack and of other ways to do it."""
