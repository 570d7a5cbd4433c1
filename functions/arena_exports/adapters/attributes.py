"""Item values as DynamoDB's attribute values, and back.

`boto3.dynamodb.types` does the same, but importing boto3 loads S3's transfer manager.
"""

from __future__ import annotations

from typing import Any


def to_attribute(value: Any) -> dict[str, Any]:  # noqa: ANN401, PLR0911 - one line for each type
    """Return the attribute value of text, whole numbers, bytes, lists, dicts or sets of text.

    Raises:
        TypeError: it is none of these.
    """
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case list() | tuple():
            return {"L": [to_attribute(inner) for inner in value]}
        case dict():
            return {"M": {name: to_attribute(inner) for name, inner in value.items()}}
        case set() | frozenset():
            return {"SS": sorted(value)}
    message = f"a {type(value).__name__} cannot be an item value"
    raise TypeError(message)


def from_attribute(attribute: dict[str, Any]) -> Any:  # noqa: ANN401 - any item value
    """Return the item value of an attribute value."""
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(value)
        case "L":
            return [from_attribute(inner) for inner in value]
        case "M":
            return {name: from_attribute(inner) for name, inner in value.items()}
        case "SS":
            return set(value)
    return value
