"""Standard JSON: Python's parser alone would accept NaN and Infinity."""

import json


def loads(text: bytes) -> object:
    """Parse JSON; raise ValueError if it is invalid or nested too deeply."""
    try:
        parsed: object = json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return parsed


def _refuse(constant: str) -> object:
    message = f"{constant} is not JSON"
    raise ValueError(message)
