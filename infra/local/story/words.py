"""Words for numbers."""


def counted(count: int, noun: str) -> str:
    """Write a number with its noun: 1 request, 2 requests."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
