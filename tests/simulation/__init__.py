"""The deterministic simulation: real functions, one process, everything from one seed."""
