"""Each adapter against the embedded services."""
