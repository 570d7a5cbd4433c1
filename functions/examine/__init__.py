"""poll: polls one export run and says how long to wait before the next poll."""
