"""poll: looks at one export run and says how long to wait before the next look."""
