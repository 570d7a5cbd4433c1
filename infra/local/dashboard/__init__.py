"""The stack's dashboard as a picture, from what a stack of its own has counted."""
