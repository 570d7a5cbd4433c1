"""The refusals of requests, by error code."""

import pytest

from infra.simulator import names
from infra.simulator.errors import CODES
from tests.unit.simulator.driver import ITEM, ITEM_OF_19, RUN_SECONDS, RUNS, Arena, codes

DEFINITION_RUNS = f"/v1/exports/{names.DEFINITION_EXPORT_GUID}/runs"
FILES_RUNS = f"/v1/exports/{names.FILES_EXPORT_GUID}/runs"
BY_GUID = {"attribute": "guid", "operator": "IS_IN", "value": [ITEM]}
BY_NUMBER = {"attribute": "number", "operator": "CONTAINS", "value": "900"}


def many(count: int) -> list[str]:
    """Return this many GUIDs."""
    return [f"ITEM{number:016}" for number in range(count)]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/jsonx"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_content_type__missing_or_wrong(arena: Arena, method: str, content_type: str) -> None:
    """Without the JSON content type a request is 415, a GET too."""
    answer = arena.call(method, RUNS, headers={"Content-Type": content_type})
    assert codes(answer) == [(415, 415)]


def test_content_type__with_a_charset(arena: Arena) -> None:
    """Parameters of the content type do not matter."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert arena.call("GET", RUNS, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/login", 404),
        ("GET", "/v1/exports", 404),
        ("GET", f"{RUNS}/{ITEM}/files", 404),
        ("GET", "/v1/login", 405),
        ("POST", "/v1/logout", 405),
        ("DELETE", RUNS, 405),
        ("OPTIONS", RUNS, 405),
        ("PUT", f"{RUNS}/{ITEM}", 405),
    ],
)
def test_address__unknown(arena: Arena, method: str, path: str, code: int) -> None:
    """An unknown address is 404, a wrong method 405, both in Arena's form."""
    assert codes(arena.call(method, path)) == [(code, code)]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[", b"[]", b"null", b'{"criteria": Infinity}', b"\xff", b"[" * 100_000]
)
def test_body__malformed(arena: Arena, data: bytes) -> None:
    """A body that is not a JSON object is code 400, also in what the vendor's sample holds."""
    assert codes(arena.call("POST", RUNS, data=data)) == [(400, 400)]


@pytest.mark.parametrize("body", [{}, {"criteria": None}, {"criteria": []}])
def test_criteria__missing(arena: Arena, body: dict[str, object]) -> None:
    """A definition without criteria needs them in the body."""
    assert codes(arena.call("POST", RUNS, body)) == [(400, 3140)]


@pytest.mark.parametrize("criteria", [[], [[BY_GUID]]])
def test_criteria__though_the_definition_has_its_own(arena: Arena, criteria: list[object]) -> None:
    """A definition with criteria takes none in the body."""
    assert codes(arena.call("POST", DEFINITION_RUNS, {"criteria": criteria})) == [(400, 3142)]


@pytest.mark.parametrize(
    ("criteria", "code"),
    [
        ("guid", 3011),
        ([BY_GUID], 3011),
        ([[]], 3011),
        ([["guid"]], 3011),
        ([[BY_GUID, BY_NUMBER]], 3002),
        ([[BY_GUID], [BY_NUMBER]], 3002),
        ([[BY_GUID], [BY_GUID]], 3002),
        ([[BY_GUID | {"extra": 1}]], 3002),
        ([[BY_GUID | {"operator": "IS_EQUAL_TO"}]], 3011),
        ([[BY_GUID | {"operator": 1}]], 3005),
        ([[BY_GUID | {"value": ITEM}]], 3005),
        ([[BY_GUID | {"value": [1]}]], 3005),
        ([[BY_GUID | {"value": []}]], 3004),
        ([[{"attribute": "guid", "operator": "IS_IN"}]], 3006),
    ],
)
def test_criteria__malformed(arena: Arena, criteria: object, code: int) -> None:
    """Criteria that are not as documented are refused with the nearest code."""
    assert codes(arena.call("POST", RUNS, {"criteria": criteria})) == [(400, code)]


def test_criteria__other_than_guids(arena: Arena) -> None:
    """Criteria without GUIDs match a fixed number of items."""
    answer = arena.call("POST", RUNS, {"criteria": [[BY_NUMBER]]})
    assert (answer.status_code, answer.json["criteriaResultsCount"]) == (201, 25)


def test_body__field_that_cannot_be_created(arena: Arena) -> None:
    """An unknown field is code 4004 and is named."""
    answer = arena.call("POST", RUNS, {"name1": 1})
    assert codes(answer) == [(400, 4004)]
    assert answer.json["errors"][0]["message"] == 'The attribute "name1" is not creatable.'


@pytest.mark.parametrize("guid", ["", "short", ITEM.lower(), f" {ITEM}", "A" * 33, 'A"B' * 6])
def test_guid__that_cannot_be_one(arena: Arena, guid: str) -> None:
    """A text that cannot be a GUID is code 3011."""
    assert codes(arena.post(ITEM, guid)) == [(400, 3011)]


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        ({}, [f'The guid "{ITEM}" is not valid.']),
        ({"badGuidBlanks": True}, [f'The guid " {ITEM} " is not valid.']),
        (
            {"badGuidsNamed": "all"},
            [f'The guid "{ITEM}" is not valid.', f'The guid "{ITEM_OF_19}" is not valid.'],
        ),
    ],
)
def test_guid__in_the_bad_set(
    arena: Arena, settings: dict[str, object], messages: list[str]
) -> None:
    """Code 3011 names the first bad GUID, or all of them, with blanks if set."""
    arena.control("PATCH", "settings", settings)
    arena.control("PATCH", "guids", {"bad": [ITEM, ITEM_OF_19]})
    answer = arena.post("GOOD0000000000000001", ITEM, ITEM_OF_19)
    assert codes(answer) == [(400, 3011)] * len(messages)
    assert [error["message"] for error in answer.json["errors"]] == messages
    assert arena.state()["runs"] == []


def test_limit__20_000_items(arena: Arena) -> None:
    """A run holds 20,000 distinct items at most."""
    assert codes(arena.post(*many(20_001))) == [(400, 3148)]
    answer = arena.post(*many(20_000), *many(5))
    assert (answer.status_code, answer.json["criteriaResultsCount"]) == (201, 20_000)


def test_limit__5_000_lines_with_files(arena: Arena) -> None:
    """With the FILES view a run holds 5,000 lines at most."""
    assert codes(arena.post(*many(5_001), runs=FILES_RUNS)) == [(400, 3149)]
    assert arena.post(*many(5_000), runs=FILES_RUNS).status_code == 201


def test_limit__lines_multiply_and_can_be_set(arena: Arena) -> None:
    """BOM levels multiply the lines, and control can lower the limit."""
    fields = {"views": ["BOM"], "linesPerItem": 4, "maxItems": 10}
    arena.control("PUT", "definitions/EXPBOM00000000000001", fields)
    runs = "/v1/exports/EXPBOM00000000000001/runs"
    assert codes(arena.post(*many(3), runs=runs)) == [(400, 3149)]
    assert arena.post(*many(2), runs=runs).json["criteriaResultsCount"] == 8


@pytest.mark.parametrize(("code", "status"), [(3145, 400), (3146, 400), (3294, 400), (3024, 403)])
def test_definition__refuses_every_run(arena: Arena, code: int, status: int) -> None:
    """A definition can refuse all of its runs."""
    arena.control("PUT", f"definitions/{names.DEFAULT_EXPORT_GUID}", {"refusal": code})
    assert codes(arena.post()) == [(status, code)]
    assert arena.state()["runs"] == []


@pytest.mark.parametrize(("setting", "code"), [(3011, 3011), (3012, 3012)])
def test_definition__unknown(arena: Arena, setting: int, code: int) -> None:
    """An unknown definition is the code that is set, and named."""
    arena.control("PATCH", "settings", {"unknownDefinitionCode": setting})
    for method, path in (
        ("GET", f"/v1/exports/{ITEM}"),
        ("GET", f"/v1/exports/{ITEM}/runs"),
        ("POST", f"/v1/exports/{ITEM}/runs"),
        ("GET", f"/v1/exports/{ITEM}/runs/{ITEM}"),
    ):
        answer = arena.call(method, path, {} if method == "POST" else None)
        assert codes(answer) == [(400, code)]
        assert ITEM in answer.json["errors"][0]["message"]


def test_definition__that_cannot_be_one(arena: Arena) -> None:
    """A text that cannot be a definition's GUID is code 3011 in any case."""
    assert codes(arena.get("/v1/exports/none")) == [(400, 3011)]


@pytest.mark.parametrize(("slot_first", "code"), [(False, 3011), (True, 3144)])
def test_order__of_3011_and_3144(arena: Arena, slot_first: bool, code: int) -> None:  # noqa: FBT001 - a case
    """Which of the two comes first is a setting."""
    arena.control("PATCH", "settings", {"slotCheckedFirst": slot_first})
    arena.control("PATCH", "guids", {"bad": [ITEM_OF_19]})
    arena.start()
    assert codes(arena.post(ITEM_OF_19)) == [(400, code)]


def test_refused_run__takes_no_slot(arena: Arena) -> None:
    """After a refusal the next run starts."""
    arena.post("bad")
    arena.start()
    arena.clock.move(RUN_SECONDS)
    assert [run["number"] for run in arena.state()["runs"]] == [1]


def test_old_codes__of_an_old_gateway(arena: Arena) -> None:
    """Codes 4071 to 4090 are 70 lower if set so; others stay."""
    arena.control("PATCH", "settings", {"oldCodes": True})
    arena.control("PATCH", "account", {"lockedSeconds": 9})
    assert codes(arena.try_login()) == [(400, 4013)]
    arena.control("PATCH", "budget", {"remaining": 0})
    assert codes(arena.get(RUNS)) == [(429, 4014)]
    arena.control("PATCH", "budget", {"remaining": 1})
    assert codes(arena.post("bad")) == [(400, 3011)]


def test_body__too_large_for_a_proxy(arena: Arena) -> None:
    """Above the configured size, a proxy answers 413 without JSON."""
    arena.control("PATCH", "settings", {"maxBodyBytes": 1000})
    answer = arena.post(*many(100))
    assert (answer.status_code, answer.mimetype) == (413, "text/html")
    assert arena.post(*many(10)).status_code == 201


@pytest.mark.parametrize("code", sorted(CODES))
def test_code__each_of_the_table_can_be_answered(arena: Arena, code: int) -> None:
    """A fault answers any code of the table, with its own HTTP status, once."""
    arena.fault(method="GET", path=RUNS, code=code)
    assert codes(arena.get(RUNS)) == [(CODES[code][0], code)]
    assert arena.get(RUNS).status_code == 200
