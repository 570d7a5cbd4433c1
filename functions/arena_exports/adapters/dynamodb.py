"""The ledger's table in DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from arena_exports.adapters.attributes import from_attribute, to_attribute
from arena_exports.adapters.aws_errors import error_code
from arena_exports.adapters.system import SystemClock
from arena_exports.domain.errors import ConditionFailedError, LedgerUnavailableError
from arena_exports.ports import Check, Condition, Delete, Item, Key, Put, Update, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from arena_exports.ports import Clock

_MAX_KEYS_IN_A_BATCH = 100
_TRIES = 5
# Doubled with each try: 0.75 s in all, which every function has left (R10).
_BACK_OFF_SECONDS = 0.05
_TRANSACTION_CONFLICT = "TransactionConflictException"
_TRANSACTION_CANCELED = "TransactionCanceledException"
_CONDITION_FAILED = "ConditionalCheckFailedException"
# Why a transaction was cancelled: one reason for each item.
_ITEM_CONDITION_FAILED = "ConditionalCheckFailed"
_ITEM_IS_FINE = (None, "None")
_ITEM_IS_BUSY = frozenset(
    {"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"}
)


class _BusyError(LedgerUnavailableError):
    """Another transaction holds the item, or the transaction was throttled."""


class DynamoTable:
    """Implements `ports.Table`.

    botocore retries calls that are throttled or get no answer (standard mode). It does not retry a
    write that conflicts with a transaction, nor a cancelled transaction: this class does.
    """

    def __init__(self, client: Any, table_name: str, clock: Clock | None = None) -> None:  # noqa: ANN401 - boto3
        self._client = client
        self._table_name = table_name
        self._clock = clock or SystemClock()

    def get(self, key: Key) -> Item | None:
        """Return one item, or None."""
        answer = self._call(
            "get_item", TableName=self._table_name, Key=_key(key), ConsistentRead=True
        )
        return _item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Return the items that exist."""
        wanted = [_key(key) for key in dict.fromkeys(keys)]
        found: dict[Key, Item] = {}
        tries = 0
        while wanted:
            batch, wanted = wanted[:_MAX_KEYS_IN_A_BATCH], wanted[_MAX_KEYS_IN_A_BATCH:]
            request = {self._table_name: {"Keys": batch, "ConsistentRead": True}}
            answer = self._call("batch_get_item", RequestItems=request)
            for item in map(_item, answer["Responses"].get(self._table_name, [])):
                found[item["PK"], item["SK"]] = item
            left = answer.get("UnprocessedKeys", {}).get(self._table_name, {}).get("Keys", [])
            # DynamoDB also stops at 16 MB, so only an empty answer counts as a failure.
            tries = tries + 1 if len(left) == len(batch) else 0
            if tries == _TRIES:
                message = "BatchGetItem keeps leaving keys unprocessed"
                raise LedgerUnavailableError(message)
            if tries:
                self._back_off(tries)
            wanted = left + wanted
        return found

    def query(self, pk: str, first: str, last: str, *, limit: int | None = None) -> list[Item]:
        """Return items of one partition in order, from SK `first` to `last`, both included."""
        arguments: dict[str, Any] = {
            "TableName": self._table_name,
            "ConsistentRead": True,
            "KeyConditionExpression": "PK = :pk AND SK BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":pk": to_attribute(pk),
                ":first": to_attribute(first),
                ":last": to_attribute(last),
            },
        }
        items: list[Item] = []
        while limit is None or len(items) < limit:
            left = {} if limit is None else {"Limit": limit - len(items)}
            answer = self._call("query", **arguments, **left)
            items += map(_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return items

    def write(self, *writes: Write) -> None:
        """Do all writes or none: several go in one transaction."""
        rendered = [self._render(write) for write in writes]
        for tries in range(1, _TRIES):
            try:
                return self._write(rendered)
            except _BusyError:
                self._back_off(tries)
        return self._write(rendered)

    def _write(self, rendered: list[tuple[str, dict[str, Any]]]) -> None:
        if len(rendered) == 1:
            self._write_one(*rendered[0])
        elif rendered:
            items = [{operation: arguments} for operation, arguments in rendered]
            self._call("transact_write_items", TransactItems=items)

    def _write_one(self, operation: str, arguments: dict[str, Any]) -> None:
        if operation == "Put" and "ConditionExpression" in arguments:
            arguments = {**arguments, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        try:
            self._call(_CALLS[operation], **arguments)
        except ConditionFailedError as exc:
            if not _was_written(exc.__cause__, arguments):
                raise

    def _back_off(self, tries: int) -> None:
        self._clock.sleep(self._clock.jitter() * _BACK_OFF_SECONDS * 2 ** (tries - 1))

    def _render(self, write: Write) -> tuple[str, dict[str, Any]]:
        """Return the operation's name in a transaction, and its arguments."""
        expression = _Expression()
        arguments: dict[str, Any] = {"TableName": self._table_name}
        if isinstance(write, Put):
            arguments["Item"] = {name: to_attribute(value) for name, value in write.item.items()}
        else:
            arguments["Key"] = _key(write.key)
        if isinstance(write, Update):
            arguments["UpdateExpression"] = expression.update(write)
        condition = expression.condition(write.condition)
        if condition:
            arguments["ConditionExpression"] = condition
        return _OPERATIONS[type(write)], {**arguments, **expression.placeholders()}

    def _call(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - botocore's answer
        try:
            return getattr(self._client, operation)(**arguments)
        except ClientError as exc:
            raise _ledger_error(exc) from exc
        except BotoCoreError as exc:
            raise LedgerUnavailableError(type(exc).__name__) from exc


_CALLS = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}
_OPERATIONS = {Put: "Put", Update: "Update", Delete: "Delete", Check: "ConditionCheck"}


class _Expression:
    """Collects the names and values in the expressions of one write."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def update(self, write: Update) -> str:
        clauses = {
            "SET": self._pairs(write.values, " = "),
            "REMOVE": [self._name(name) for name in write.remove],
            "ADD": self._pairs(write.add, " "),
        }
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)

    def condition(self, condition: Condition) -> str:
        parts = [f"attribute_not_exists({self._name(name)})" for name in condition.absent]
        parts += [f"attribute_exists({self._name(name)})" for name in condition.present]
        parts += self._pairs(condition.equals, " = ") + self._pairs(condition.less_than, " < ")
        return " AND ".join(parts)

    def placeholders(self) -> dict[str, Any]:
        arguments = {
            "ExpressionAttributeNames": {place: name for name, place in self._names.items()},
            "ExpressionAttributeValues": self._values,
        }
        return {name: used for name, used in arguments.items() if used}

    def _pairs(self, values: Mapping[str, Any], operator: str) -> list[str]:
        return [f"{self._name(n)}{operator}{self._value(v)}" for n, v in values.items()]

    def _name(self, name: str) -> str:
        return self._names.setdefault(name, f"#n{len(self._names)}")

    def _value(self, value: Any) -> str:  # noqa: ANN401 - any attribute value
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = to_attribute(value)
        return placeholder


def _ledger_error(exc: ClientError) -> ConditionFailedError | LedgerUnavailableError:
    """Return what an error of DynamoDB means.

    A transaction has one reason for each item. Once a condition has failed, the same writes cannot
    succeed, whatever the other reasons are, and are not tried again.
    """
    code = error_code(exc)
    if code == _CONDITION_FAILED:
        return ConditionFailedError()
    if code == _TRANSACTION_CONFLICT:
        return _BusyError(code)
    reasons = [reason.get("Code") for reason in exc.response.get("CancellationReasons", [])]
    failed = [n for n, reason in enumerate(reasons) if reason == _ITEM_CONDITION_FAILED]
    others = {str(r) for r in reasons if r not in (*_ITEM_IS_FINE, _ITEM_CONDITION_FAILED)}
    if failed and others <= _ITEM_IS_BUSY:
        return ConditionFailedError(failed)
    text = " ".join([code, *sorted({*others, *([_ITEM_CONDITION_FAILED] if failed else [])})])
    busy = code == _TRANSACTION_CANCELED and others and others <= _ITEM_IS_BUSY
    return _BusyError(text) if busy else LedgerUnavailableError(text)


def _was_written(cause: BaseException | None, arguments: dict[str, Any]) -> bool:
    """Return whether a put failed because an earlier, unanswered try of botocore had written it."""
    if not isinstance(cause, ClientError):
        return False
    retried = cause.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
    return retried and "Item" in arguments and cause.response.get("Item") == arguments["Item"]


def _key(key: Key) -> dict[str, Any]:
    return {"PK": {"S": key[0]}, "SK": {"S": key[1]}}


def _item(attributes: Mapping[str, Any]) -> Item:
    return {name: from_attribute(value) for name, value in attributes.items()}
