"""What it costs: requests, polls, latency, cents; ours beside what others do."""
