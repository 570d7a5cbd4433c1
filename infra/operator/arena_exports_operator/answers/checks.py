"""The result of a check of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    OK = "OK"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `fix` is what to do about a warning or failure, "" if nothing."""

    name: str
    verdict: Verdict
    text: str
    fix: str = ""


def ok(name: str, text: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, Verdict.OK, text)


def warning(name: str, text: str, fix: str) -> Check:
    """Return a check that found something that works but needs attention."""
    return Check(name, Verdict.WARNING, text, fix)


def failure(name: str, text: str, fix: str) -> Check:
    """Return a check that found something that does not work."""
    return Check(name, Verdict.FAILURE, text, fix)


def not_checked(name: str, text: str) -> Check:
    """Return a check that was not made, and why."""
    return Check(name, Verdict.NOT_CHECKED, text)
