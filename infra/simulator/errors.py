"""Arena's error codes, with their HTTP statuses and the simulator's messages."""

from collections.abc import Mapping
from types import MappingProxyType

CODES: Mapping[int, tuple[int, str]] = MappingProxyType(
    {
        400: (400, "The syntax of the request is not valid."),
        401: (401, "The session is not valid or has timed out."),
        404: (404, "The requested address does not exist."),
        405: (405, "The method is not allowed for the requested address."),
        409: (409, "The number is already in use."),
        415: (415, "The content type must be application/json."),
        503: (503, "The service is unavailable."),
        3000: (500, "A system error has occurred. Try again."),
        3002: (400, "The attribute is not valid."),
        3003: (400, "The value of the attribute is not valid."),
        3004: (400, "The value of the attribute is missing."),
        3005: (400, "The type of the attribute's value is not valid."),
        3006: (400, "A required attribute is missing."),
        3011: (400, "The specified value is not valid."),
        3012: (400, "The requested object is not found."),
        3017: (400, "The file is not ready."),
        3024: (403, "You do not have the privilege, or the object does not exist."),
        3028: (400, "The file is empty."),
        3140: (400, "The export run requires criteria."),
        3142: (400, "The export definition has criteria of its own."),
        3144: (400, "An export is already in progress."),
        3145: (400, "The export definition is incorrect."),
        3146: (400, "The export could not be run."),
        3148: (400, "The export run exceeds the limit of 20,000 items."),
        3149: (400, "The export run exceeds the limit of 5,000 lines with BOM or FILES."),
        3294: (400, "The criteria cannot contain a guid criterion."),
        4001: (400, "The email, password or workspace is not valid."),
        4004: (400, "The attribute is not creatable."),
        4077: (400, "The file is not ready."),
        4078: (400, "The file is empty."),
        4079: (400, "The API is not enabled for this workspace."),
        4081: (400, "The password has expired or was reset."),
        4082: (400, "Access is not allowed."),
        4083: (400, "The account is locked after too many failed logins."),
        4084: (429, "The request limit has been reached."),
        4085: (400, "An unexpected error has occurred."),
        4087: (500, "An unknown error has occurred."),
    }
)
_RENUMBERED = range(4071, 4091)
_RENUMBERED_BY = 70


class ArenaError(Exception):
    """An error answer, which can contain several errors."""

    def __init__(self, code: int, *messages: str, status: int | None = None) -> None:
        """Use the documented status and message of `code` unless others are given."""
        default_status, default_message = CODES.get(code, (400, "The request was refused."))
        self.code = code
        self.status = default_status if status is None else status
        self.messages = messages or (default_message,)
        super().__init__(f"{self.status}/{code}: {self.messages[0]}")

    def payload(self, *, old_codes: bool = False) -> dict[str, object]:
        """Return the body; `old_codes` selects the codes from before the Winter 2023 release."""
        code = self.code - _RENUMBERED_BY if old_codes and self.code in _RENUMBERED else self.code
        errors = [{"code": code, "message": message} for message in self.messages]
        return {"status": self.status, "errors": errors}


def invalid_guid(*guids: str, blanks: bool = False) -> ArenaError:
    """Return code 3011 with one error for each GUID, as Arena words it."""
    pad = " " if blanks else ""
    return ArenaError(3011, *(f'The guid "{pad}{guid}{pad}" is not valid.' for guid in guids))


def not_found(guid: str) -> ArenaError:
    """Return code 3012 for an object that does not exist."""
    return ArenaError(3012, f'The requested object with guid "{guid}" is not found.')


def invalid_option(value: object, attribute: str) -> ArenaError:
    """Return code 3011 for a value that is not one of the allowed ones."""
    text = f'The specified value "{value}" is not a valid option for the attribute "{attribute}".'
    return ArenaError(3011, text)
