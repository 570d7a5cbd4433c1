"""The command `arena-exports`: shows what `answers` returns."""
