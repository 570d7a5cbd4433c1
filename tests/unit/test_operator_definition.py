"""What `doctor --arena` says about Arena's answers."""

from __future__ import annotations

from typing import Any

import pytest

from arena_exports_operator.answers.checks import Check, Verdict
from arena_exports_operator.answers.definition import checks_of

GUID = "EXPDEFAULT0000000001"
OTHER = "EXPOTHER000000000001"


def definition(**options: Any) -> dict[str, Any]:
    """Return Arena's answer: a definition without criteria, with some options."""
    return answer(
        {"guid": GUID, "criteria": None, "options": {"exportViews": ["SPECS"], **options}}
    )


def answer(body: Any, status: int = 200) -> dict[str, Any]:
    """Return an answer of examine."""
    return {"call": "read an export definition", "status": status, "headers": {}, "body": body}


def checks(*answers: dict[str, Any], problem: str = "", **parameters: str) -> list[Check]:
    """Return the checks of answers, for a stack with some parameters."""
    return list(checks_of(GUID, answers, problem, {"MaxItemsPerRun": "5000", **parameters}))


def only(found: list[Check], verdict: Verdict) -> Check:
    """Return the one check with a verdict."""
    (check,) = [check for check in found if check.verdict is verdict]
    return check


def test_definition__that_fits_is_ok() -> None:
    """It exists, takes items, has no limit below Arena's, and its runs can be listed."""
    found = checks(definition(), answer({"count": 3, "results": [{}, {}]}))
    assert {check.verdict for check in found} == {Verdict.OK}
    assert [check.name for check in found] == ["definition", "criteria", "views", "views", "runs"]
    assert found[-1].text == "the machine user sees 3 runs of it"


@pytest.mark.parametrize(
    ("status", "code", "verdict", "says"),
    [
        (400, 3011, Verdict.FAILURE, f"Arena does not know {GUID}"),
        (400, 3012, Verdict.FAILURE, f"Arena does not know {GUID}"),
        (403, 3024, Verdict.FAILURE, f"the machine user may not read {GUID}"),
        (500, 3000, Verdict.NOT_CHECKED, f"Arena answered 500 (3000) about {GUID}"),
    ],
)
def test_definition__that_is_refused(status: int, code: int, verdict: Verdict, says: str) -> None:
    """A failure where Arena is definite, else a check that was not made."""
    (check,) = checks(answer({"errors": [{"code": code, "message": "x"}]}, status))
    assert (check.verdict, check.text) == (verdict, says)


@pytest.mark.parametrize("body", [None, [], {"errors": "x"}, {"errors": [None]}])
def test_definition__refused_without_a_code(body: Any) -> None:
    """Whatever the body is, the status is shown."""
    (check,) = checks(answer(body, 502))
    assert check.text == f"Arena answered 502 (no code) about {GUID}"


@pytest.mark.parametrize(
    ("body", "left_out"),
    [
        (None, ["definition"]),
        ({}, ["criteria", "views"]),
        ({"criteria": [], "options": {"exportViews": "SPECS"}}, ["views"]),
    ],
    ids=str,
)
def test_definition__in_an_unknown_form(body: Any, left_out: list[str]) -> None:
    """What cannot be read is not checked, and says so."""
    found = checks(answer(body))
    assert [c.name for c in found if c.verdict is Verdict.NOT_CHECKED] == left_out


def test_criteria__contradict_a_parameter() -> None:
    """Own criteria refuse items; a schedule without criteria never runs."""
    own = answer({"criteria": [[{}]], "options": {"exportViews": ["SPECS"]}})
    assert "(3142)" in only(checks(own, DefaultExportGuid=GUID), Verdict.WARNING).text
    assert "(3140)" in only(checks(definition(), ScheduledExportGuid=GUID), Verdict.FAILURE).text
    for fits in (
        checks(own, ScheduledExportGuid=GUID, DefaultExportGuid=OTHER),
        checks(definition(), DefaultExportGuid=GUID, ScheduledExportGuid=OTHER),
    ):
        assert {check.verdict for check in fits} == {Verdict.OK}


@pytest.mark.parametrize("view", ["BOM", "FILES"])
def test_views__that_limit_a_run(view: str) -> None:
    """BOM and FILES limit it to 5,000, which MaxItemsPerRun should respect."""
    limited = definition(exportViews=["SPECS", view])
    assert {check.verdict for check in checks(limited)} == {Verdict.OK}
    check = only(checks(limited, MaxItemsPerRun="5001"), Verdict.WARNING)
    assert f"because of {view}, and MaxItemsPerRun is 5001" in check.text
    assert {check.verdict for check in checks(definition(), MaxItemsPerRun="20000")} == {Verdict.OK}


@pytest.mark.parametrize(
    "options",
    [
        {"exportViews": ["BOM"], "bomLevels": "NONE"},
        {"exportViews": ["SPECS", "BOM_SUBSTITUTES"]},
        {"exportViews": ["FILES"], "fileContent": {"item": "NONE", "supplierItem": "NONE"}},
        {
            "exportViews": ["SOURCING_SUPPLIERITEM_FILES"],
            "fileContent": {"item": "NONE", "supplierItem": "NONE"},
        },
    ],
    ids=lambda options: options["exportViews"][-1],
)
def test_views__that_give_empty_files(options: dict[str, Any]) -> None:
    """Each option set of Arena's documentation is a warning."""
    assert "gives empty files: " in only(checks(definition(**options)), Verdict.WARNING).text


@pytest.mark.parametrize(
    "options",
    [
        {"exportViews": ["BOM"], "bomLevels": "ALL"},
        {"exportViews": ["SPECS", "BOM"], "bomLevels": "NONE"},
        {"exportViews": ["BOM", "BOM_SUBSTITUTES"]},
        {"exportViews": ["FILES"], "fileContent": {"item": "LATEST", "supplierItem": "NONE"}},
        {"exportViews": ["SPECS"], "fileContent": {"item": "NONE", "supplierItem": "NONE"}},
        {"exportViews": ["FILES"], "fileContent": None},
    ],
    ids=str,
)
def test_views__that_give_files(options: dict[str, Any]) -> None:
    """Neighbours of these option sets are fine."""
    assert {check.verdict for check in checks(definition(**options))} == {Verdict.OK}


def test_runs__in_an_unknown_form() -> None:
    """They are not checked; without a count, those that are listed are counted."""
    assert checks(definition(), answer(None))[-1].verdict is Verdict.NOT_CHECKED
    assert checks(definition(), answer({}, 403))[-1].verdict is Verdict.NOT_CHECKED
    assert checks(definition(), answer({"results": [{}]}))[-1].text.endswith("sees 1 run of it")


def test_problem__is_what_was_not_checked() -> None:
    """Why Arena was not asked, or not for everything."""
    (check,) = checks(problem="request budget at its reserve; try again in 60 s")
    assert check.verdict is Verdict.NOT_CHECKED
    assert "request budget at its reserve" in check.text
