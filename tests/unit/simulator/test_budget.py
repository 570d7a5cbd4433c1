"""The budget of requests and the two headers that tell of it."""

import pytest

from tests.unit.simulator.driver import RUNS, Arena, codes

REMAINING, RESET = "X-Arena-Requests-Remaining", "X-Arena-Next-Request-Limit-Reset"
HOUR = 3600.0


def test_budget__login_is_free_and_failures_are_not(arena: Arena) -> None:
    """Everything but login counts: dead sessions, unknown addresses, refusals."""
    assert arena.try_login().headers[REMAINING] == "10000"
    arena.log_in()
    left = [
        arena.get(RUNS),
        arena.post("bad"),
        arena.get("/v1/nothing"),
        arena.call("GET", RUNS, headers={"Content-Type": "text/plain"}),
        arena.call("GET", RUNS, headers={"arena_session_id": "dead"}),
    ]
    assert [answer.headers[REMAINING] for answer in left] == [
        "9999",
        "9998",
        "9997",
        "9996",
        "9995",
    ]


def test_budget__spent(arena: Arena) -> None:
    """With nothing left each call is 429 with the limit and the reset; logins go on."""
    arena.control("PATCH", "budget", {"remaining": 1})
    assert arena.get(RUNS).status_code == 200
    answer = arena.get(RUNS)
    assert codes(answer) == [(429, 4084)]
    assert answer.headers[REMAINING] == "0"
    message = answer.json["errors"][0]["message"]
    assert "10000" in message
    assert answer.headers[RESET] in message
    assert arena.try_login().status_code == 200


def test_budget__starts_anew_at_midnight_pacific(arena: Arena) -> None:
    """The day ends at midnight US Pacific time, 20 hours after noon in Greenwich in winter."""
    arena.control("PATCH", "budget", {"remaining": 0})
    arena.clock.move(20 * HOUR - 1)
    arena.log_in()
    assert codes(arena.get(RUNS)) == [(429, 4084)]
    arena.clock.move(1)
    assert arena.get(RUNS).headers[REMAINING] == "9999"


def test_budget__reset_by_control(arena: Arena) -> None:
    """Control can bring the reset near."""
    arena.control("PATCH", "budget", {"remaining": 0, "resetSeconds": 5})
    arena.clock.move(5)
    assert arena.get(RUNS).status_code == 200


def test_budget__limit_by_control(arena: Arena) -> None:
    """Control sets another limit, and a login tells it."""
    arena.control("PATCH", "budget", {"limit": 1000})
    assert arena.try_login().json["workspaceRequestLimit"] == 1000
    assert arena.state()["budget"]["remaining"] == 1000


def test_budget__more_left_than_the_limit(arena: Arena) -> None:
    """Control cannot leave more than the limit."""
    answer = arena.command("PATCH", "budget", {"remaining": 10_001})
    assert (answer.status_code, answer.json["field"]) == (400, "remaining")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("documented", "Sat, 02-Mar-2024 00:00:00 GMT-0800 (PST)"),
        ("rfc", "Sat, 02 Mar 2024 08:00:00 GMT"),
        ("zulu", "2024-03-02T08:00:00Z"),
        ("past", "Fri, 01-Mar-2024 03:00:00 GMT-0800 (PST)"),
        ("garbage", "soon, surely"),
        ("none", None),
    ],
)
def test_reset_header__forms(arena: Arena, form: str, text: str | None) -> None:
    """The reset's header comes in the form that is set."""
    arena.control("PATCH", "budget", {"resetForm": form})
    assert arena.get(RUNS).headers.get(RESET) == text


@pytest.mark.parametrize(
    ("form", "text"), [("number", "9999"), ("garbage", "many"), ("none", None)]
)
def test_remaining_header__forms(arena: Arena, form: str, text: str | None) -> None:
    """The header of what is left comes in the form that is set."""
    arena.control("PATCH", "budget", {"remainingForm": form})
    assert arena.get(RUNS).headers.get(REMAINING) == text


def test_headers__on_every_answer(arena: Arena) -> None:
    """Date, Server and both budget headers stand on successes and refusals alike."""
    for answer in (arena.try_login(), arena.get("/v1/nothing"), arena.get(RUNS)):
        assert answer.headers["Server"] == "ArenaSolutions"
        assert answer.headers["Date"] == "Fri, 01 Mar 2024 12:00:00 GMT"
        assert {REMAINING, RESET} <= set(answer.headers.keys())
