"""Times, in the formats that Arena and HTTP use."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_ODD_DATE = re.compile(
    r"(?:\w{3}, )?(\d{1,2})[- ](\w{3})[- ](\d{4}) (\d\d):(\d\d):(\d\d) GMT"
    r"(?:([+-])(\d\d):?(\d\d)|(?![+-]))"
)


def parse_date(text: str) -> float | None:
    """Return the epoch seconds of a date header; None if it, or its zone, cannot be read.

    Accepted forms are those of RFC 9110, ISO 8601, and the one that Arena documents, `Fri,
    02-May-2014 14:22:13 GMT-0700 (PDT)`. Of these only C's asctime has no zone: it is UTC.
    """
    for parse in (_odd_date, _asctime, parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text.strip())
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return moment.timestamp() if moment.tzinfo else None
    return None


def _asctime(text: str) -> datetime:
    return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)


def _odd_date(text: str) -> datetime:
    match = _ODD_DATE.match(text)
    if match is None:
        raise ValueError(text)
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    text = f"{day} {month} {year} {hour}:{minute}:{second}"
    return datetime.strptime(text, "%d %b %Y %H:%M:%S").replace(tzinfo=zone)


_YEARS = range(2000, 2100)


def epoch_seconds(text: str | None) -> float | None:
    """Return the epoch seconds of one of Arena's times, `2023-03-08T09:32:25Z`; None if invalid."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def duration_seconds(creation: str | None, completion: str | None) -> float | None:
    """Return how long a run took by Arena's own times; None while one is unknown."""
    created, completed = epoch_seconds(creation), epoch_seconds(completion)
    return None if created is None or completed is None else max(completed - created, 0.0)


def format_utc(epoch: float) -> str:
    """Return epoch seconds in Arena's form."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
