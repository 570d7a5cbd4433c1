"""The deterministic simulation: the real functions and state machine in one process, everything from one seed."""
