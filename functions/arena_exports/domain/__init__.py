"""What is known and decided, as pure values and functions: no clock, no network, no AWS."""
