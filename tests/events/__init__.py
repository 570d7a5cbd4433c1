"""Events of AWS as its documentation shows them, as JSON files; every one of them is used."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

EVENTS = {path.stem: path for path in Path(__file__).parent.glob("*.json")}


def event(name: str) -> Any:
    """Return an event, which the caller may change."""
    return json.loads(_text(name))


@cache
def _text(name: str) -> str:
    return EVENTS[name].read_text()


def sqs_record(message_id: str, body: str, sent_at: float) -> dict[str, Any]:
    """Return the record of a message that Lambda receives from SQS for the first time."""
    (record,) = event("sqs")["Records"]
    milliseconds = str(int(1000 * sent_at))
    times = {"SentTimestamp": milliseconds, "ApproximateFirstReceiveTimestamp": milliseconds}
    attributes = {**record["attributes"], **times}
    return {**record, "messageId": message_id, "body": body, "attributes": attributes}


def sns(content: object) -> dict[str, Any]:
    """Return the body in which SNS delivers a message, without raw delivery."""
    message = content if isinstance(content, str) else json.dumps(content)
    return {**event("sns_notification"), "Message": message}


def event_bridge(detail: object) -> dict[str, Any]:
    """Return the body in which EventBridge delivers an event."""
    return {**event("eventbridge"), "detail": detail}
