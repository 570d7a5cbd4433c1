"""boto3 clients, and what their errors mean to an operator."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from arena_exports.domain.errors import LedgerUnavailableError
from arena_exports_operator.answers.words import without_addresses
from arena_exports_operator.errors import NoAccessError

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_SECONDS = 20
_ATTEMPTS = 3


class Aws:
    """The services of one account and region, as the environment or a profile defines them."""

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        # boto3 ignores AWS_REGION, which the AWS CLI prefers to the profile's region.
        region = region or os.environ.get("AWS_REGION")
        with explained():
            self._session = boto3.Session(profile_name=profile, region_name=region)
        self._clients = cache(self._make)

    def client(
        self, service: str, *, read_timeout: int = _READ_SECONDS, attempts: int = _ATTEMPTS
    ) -> Any:  # noqa: ANN401 - boto3 has no type for all of them
        """Return the client of a service, made once."""
        with explained():
            return self._clients(service, read_timeout, attempts)

    def _make(self, service: str, read_timeout: int, attempts: int) -> Any:  # noqa: ANN401 - the same
        config = Config(
            connect_timeout=5,
            read_timeout=read_timeout,
            retries={"total_max_attempts": attempts, "mode": "standard"},
        )
        return self._session.client(service, config=config)  # type: ignore[call-overload] # any name

    @property
    def region(self) -> str:
        """The region; "" where none is set."""
        return self._session.region_name or ""

    def caller(self) -> str:
        """Return the ARN that the calls are made with."""
        with explained():
            return str(self.client("sts").get_caller_identity()["Arn"])


@contextmanager
def explained() -> Iterator[None]:
    """Raise one error with a one-line message if AWS refuses a call or does not answer.

    Raises:
        NoAccessError: with AWS's reason, without e-mail addresses.
    """
    try:
        yield
    except NoRegionError as exc:
        raise NoAccessError("no region is set: set AWS_REGION, or use --region") from exc
    except NoCredentialsError as exc:
        raise NoAccessError(
            "there are no AWS credentials: set AWS_PROFILE, or use --profile"
        ) from exc
    except (BotoCoreError, ClientError) as exc:
        raise NoAccessError(_line(exc)) from exc
    except LedgerUnavailableError as exc:
        raise NoAccessError(f"the ledger cannot be read: {_line(exc.__cause__ or exc)}") from exc


def _line(exc: BaseException) -> str:
    return without_addresses(" ".join(str(exc).split()))
