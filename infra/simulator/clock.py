"""Times in Arena's formats. Everywhere else, a time is a float of epoch seconds."""

import calendar
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
BERLIN = ZoneInfo("Europe/Berlin")
_UTC = "%Y-%m-%dT%H:%M:%SZ"
_DOCUMENTED = "%a, %d-%b-%Y %H:%M:%S GMT%z (%Z)"


def format_utc(at: float) -> str:
    """Write a time in Arena's form with whole seconds, `2023-03-08T09:32:25Z`."""
    return time.strftime(_UTC, time.gmtime(at))


def parse_utc(text: str) -> float:
    """Read a time in Arena's form; raise ValueError for any other."""
    return float(calendar.timegm(time.strptime(text, _UTC)))


def http_date(at: float) -> str:
    """Write a time as HTTP headers do, `Fri, 02 May 2014 21:22:13 GMT`."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC), usegmt=True)


def documented_date(at: float) -> str:
    """Write a time as the documented sample of the reset header does."""
    return datetime.fromtimestamp(at, PACIFIC).strftime(_DOCUMENTED)


def zoned_date(at: float) -> str:
    """Write a time with a zone name that HTTP does not define (CET, CEST)."""
    return datetime.fromtimestamp(at, BERLIN).strftime("%a, %d %b %Y %H:%M:%S %Z")


def joined_date(at: float) -> str:
    """Write a time twice, as a proxy does when it joins a repeated header."""
    return f"{http_date(at)}, {http_date(at)}"


DATE_FORMS: Mapping[str, Callable[[float], str] | None] = MappingProxyType(
    {"rfc": http_date, "zone": zoned_date, "joined": joined_date, "none": None}
)
"""The forms of the Date header."""


def next_pacific_midnight(at: float) -> float:
    """Return the next midnight in US Pacific time, when the budget resets."""
    tomorrow = datetime.fromtimestamp(at, PACIFIC).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=PACIFIC).timestamp()
