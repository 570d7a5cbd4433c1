"""JSON as its standard has it: Python's reader alone would let NaN and Infinity pass."""

import json


def loads(text: bytes) -> object:
    """Read JSON; raise ValueError for all that is not, also for what is nested too deeply."""
    try:
        parsed: object = json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return parsed


def _refuse(constant: str) -> object:
    message = f"{constant} is not JSON"
    raise ValueError(message)
