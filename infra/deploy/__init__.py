"""`make deploy`. All that this package imports is part of SAM's environment."""
