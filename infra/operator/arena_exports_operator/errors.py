"""The errors of the tool, and their exit codes."""

from __future__ import annotations


class OperatorError(Exception):
    """An error that is reported to the operator in one line."""

    exit_code = 1


class UsageError(OperatorError):
    """The command or its arguments are invalid."""

    exit_code = 2


class NotFoundError(OperatorError):
    """What the command was asked for was not found."""

    exit_code = 3


class NoAccessError(OperatorError):
    """AWS cannot be reached, or does not permit a call."""

    exit_code = 4
