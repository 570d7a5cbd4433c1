"""What surrounds the functions: the state machine's definition and the local stack."""
