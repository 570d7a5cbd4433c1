"""The command `arena-exports`: asks `answers`, and shows what they say."""
