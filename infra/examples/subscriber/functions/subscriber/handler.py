"""Handles delivered export runs: each event once, each file streamed and its hash checked."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from .files import use_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

KEPT_SECONDS = 30 * 86_400  # longer than a queue keeps a message
PIECE_BYTES = 1024 * 1024

table_name = os.environ["SEEN_EVENTS_TABLE_NAME"]
logger = Logger()
dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
processor = BatchProcessor(event_type=EventType.SQS)
seen_events = DynamoDBPersistenceLayer(table_name=table_name, boto3_client=dynamodb)
by_source_and_id = IdempotencyConfig(
    event_key_jmespath="[source, id]",
    raise_on_no_idempotency_key=True,
    expires_after_seconds=KEPT_SECONDS,
)


class HashMismatchError(Exception):
    """An object is not the one that was announced."""


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch; events that fail are retried, and finally sent to the dead-letter queue."""
    by_source_and_id.register_lambda_context(context)
    return process_partial_response(event, handle_record, processor, context)


def handle_record(record: SQSRecord) -> None:
    """Handle one message of the queue; log why it fails."""
    try:
        handle_event(event=record.json_body)
    except Exception:
        logger.exception("event not handled", messageId=record.message_id)
        raise


@idempotent_function(  # type: ignore[untyped-decorator]  # Powertools does not type it
    data_keyword_argument="event", config=by_source_and_id, persistence_store=seen_events
)
def handle_event(event: dict[str, Any]) -> None:
    """Use the files of a run, once all parts of its event have arrived.

    Source and id of an event never change, so this does nothing for one that was handled before.
    Files are used twice only if the function dies: `use_file` should be idempotent.
    """
    data = event["data"]
    if not all_parts_arrived(event):
        logger.info("waiting for more parts", run=data["runGuid"], parts=data["parts"])
        return
    manifest = json.loads(read_manifest(data))
    for file in manifest["files"]:
        pieces = checked_pieces(data["bucket"], file)
        result = use_file(manifest, file, pieces)
        deque(pieces, maxlen=0)  # the hash is checked at the end, so read what is left
        logger.info("file used", run=data["runGuid"], key=file["key"], result=result)
    for file in manifest["undeliverable"]:
        logger.warning("file was not delivered", run=data["runGuid"], **file)


def all_parts_arrived(event: dict[str, Any]) -> bool:
    """Record a part; return whether all parts of its event have been recorded."""
    data = event["data"]
    all_but_part = event["id"].rpartition("/")[0]
    reply = dynamodb.update_item(
        TableName=table_name,
        Key={"id": {"S": f"parts {event['source']} {all_but_part}"}},
        UpdateExpression="ADD arrived :part SET expiration = :expiration",
        ExpressionAttributeValues={
            ":part": {"NS": [str(data["part"])]},
            ":expiration": {"N": str(int(time.time()) + KEPT_SECONDS)},
        },
        ReturnValues="ALL_NEW",
    )
    parts: int = data["parts"]
    return len(reply["Attributes"]["arrived"]["NS"]) == parts


def read_manifest(data: dict[str, Any]) -> bytes:
    """Return the manifest, which lists the files of all parts.

    Raises:
        HashMismatchError: it is not the one that the event names.
    """
    named = {"key": data["manifestKey"], "sha256": data["manifestSha256"]}
    return b"".join(checked_pieces(data["bucket"], named))


def checked_pieces(bucket: str, file: dict[str, Any]) -> Iterator[bytes]:
    """Yield an object piece by piece.

    Raises:
        HashMismatchError: it is not the object that was announced; raised after the last piece.
    """
    digest = hashlib.sha256()
    with closing(s3.get_object(Bucket=bucket, Key=file["key"])["Body"]) as body:
        for piece in body.iter_chunks(PIECE_BYTES):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != file["sha256"]:
        message = f"{file['key']} has the SHA-256 {digest.hexdigest()}, not {file['sha256']}"
        raise HashMismatchError(message)
