"""The Arena client: requests, answers, errors, and the session that they are sent in."""
