"""What the tool cannot do, and the exit code that says so."""

from __future__ import annotations


class OperatorError(Exception):
    """Something that the person at the keyboard is told in one line."""

    exit_code = 1


class UsageError(OperatorError):
    """The command, or what it was given, cannot be meant so."""

    exit_code = 2


class NotFoundError(OperatorError):
    """What the command was asked for does not exist."""

    exit_code = 3


class NoAccessError(OperatorError):
    """AWS cannot be reached, or does not permit a call."""

    exit_code = 4
