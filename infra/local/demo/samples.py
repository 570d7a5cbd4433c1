"""Sample messages in every form that the intake queue accepts (README, section Send)."""

import json
import random
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from infra.simulator.names import DEFAULT_EXPORT_GUID

DOCUMENTED_GUIDS = ("CUEXB8CEPGHGZI18WDMU", "M407LIMOZGZQ5TUP27F")
"""The vendor's own sample GUIDs; the second has 19 characters."""
MALFORMED = '{"itemGuids": ["not-a-guid"], "correlationId": "ECO-000666"}'
GUID_LENGTH = 20
REPEATED = 0.1
"""The share of messages that request a GUID of an earlier message again."""
_LETTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Sample:
    """A message, the name of its form, and the GUIDs that it requests."""

    form: str
    body: str
    item_guids: tuple[str, ...] = ()


Maker = Callable[[Sequence[str]], str]


def guids(rng: random.Random, count: int) -> list[str]:
    """Generate item GUIDs of the usual length."""
    return ["".join(rng.choices(_LETTERS, k=GUID_LENGTH)) for _ in range(count)]


def documented() -> Sample:
    """Request the GUIDs of the vendor's own sample."""
    body = _items(DOCUMENTED_GUIDS, correlationId="post-export-run")
    return Sample("full form", body, DOCUMENTED_GUIDS)


def of_every_form(rng: random.Random, count: int) -> list[Sample]:
    """Generate `count` samples in all forms; about one in ten repeats an earlier GUID."""
    known: list[str] = []
    samples = []
    for number in range(count):
        form, size, make = _FORMS[number % len(_FORMS)]
        repeated = rng.sample(known, 1) if known and size > 1 and rng.random() < REPEATED else []
        item_guids = [*guids(rng, size - len(repeated)), *repeated]
        known += item_guids
        samples.append(Sample(form, make(item_guids), tuple(item_guids)))
    return samples


def distinct_guids(samples: Iterable[Sample]) -> set[str]:
    """Return the distinct GUIDs of all samples."""
    return {guid for sample in samples for guid in sample.item_guids}


def _items(item_guids: Sequence[str], **more: str) -> str:
    return json.dumps({"itemGuids": list(item_guids), **more})


def _full_form(item_guids: Sequence[str]) -> str:
    more = {"exportGuid": DEFAULT_EXPORT_GUID, "correlationId": f"ECO-{item_guids[0][:6]}"}
    return _items(item_guids, **more, workspace="default", priority="normal")


def _arena_answer(item_guids: Sequence[str]) -> dict[str, object]:
    return {"count": len(item_guids), "results": list(item_guids)}


def _from_sns(item_guids: Sequence[str]) -> str:
    """Wrap as SNS does without raw delivery."""
    envelope = {
        "Type": "Notification",
        "MessageId": "3f4c1a2e-0000-4000-8000-000000000000",
        "TopicArn": "arn:aws:sns:us-east-1:000000000000:upstream",
        "Message": _items(item_guids),
        "Timestamp": "2026-01-31T06:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "…",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/certificate.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    }
    return json.dumps(envelope)


def _from_eventbridge(item_guids: Sequence[str]) -> str:
    """Wrap as EventBridge does, `detail` being the message."""
    envelope = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Items released",
        "source": "upstream.plm",
        "account": "000000000000",
        "time": "2026-01-31T06:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": _arena_answer(item_guids),
    }
    return json.dumps(envelope)


_FORMS: tuple[tuple[str, int, Maker], ...] = (
    ("full form", 3, _full_form),
    ("default definition", 2, _items),
    ("bulk", 4, partial(_items, priority="bulk")),
    ("bare GUID", 1, lambda item_guids: item_guids[0]),
    ("lower case with blanks", 1, lambda item_guids: f"  {item_guids[0].lower()}\n"),
    ("JSON string", 1, lambda item_guids: json.dumps(item_guids[0])),
    ("JSON list", 2, json.dumps),
    ("Arena's itemguids", 3, lambda item_guids: json.dumps(_arena_answer(item_guids))),
    ("in an SNS envelope", 2, _from_sns),
    ("in an EventBridge envelope", 2, _from_eventbridge),
)
