"""Canned answers of AWS, to which a botocore client applies its own retries."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse, HeadersDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def canned(request: Any, status: int, body: bytes) -> AWSResponse:
    """Return an answer to a request."""
    raw: Any = io.BytesIO(body)
    raw.stream = lambda **_: iter([raw.read()])
    headers: Any = HeadersDict()
    return AWSResponse(request.url, status, headers, raw)


@contextmanager
def answered_by(
    client: Any, event: str, answer: Callable[..., AWSResponse | None]
) -> Iterator[None]:
    """Answer a client's requests with a function; it returns None to let a request pass."""
    client.meta.events.register_first(f"before-send.{event}", answer)
    try:
        yield
    finally:
        client.meta.events.unregister(f"before-send.{event}", answer)
