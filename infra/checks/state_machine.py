"""Check the schema, references, and expressions of the state machine's definition.

Run it with `python -m infra.checks.state_machine`. No single tool checks all of it: cfn-lint checks
the schema but not every reference, statelint checks the references but no expressions, and only
a JSONata parser checks those.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonata
from cfnlint.api import lint_all
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

from infra.local.paths import ROOT

DEFINITION = ROOT / "infra" / "state_machine.asl.json"
_FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:name"
_SUBSTITUTION = re.compile(r"\$\{(\w+)}")
_EXPRESSION = re.compile(r"^\{%(.*)%}$", re.DOTALL)


def problems(definition: Path = DEFINITION) -> list[str]:
    """Return the problems of a definition; empty if it is valid."""
    text = _SUBSTITUTION.sub(_stand_in, definition.read_text())
    states: dict[str, Any] = json.loads(text)
    return [*_schema_problems(states), *_reference_problems(states), *_expression_problems(states)]


def _stand_in(substitution: re.Match[str]) -> str:
    """Return an example value for a substitution."""
    return "aws" if substitution[1] == "Partition" else _FUNCTION_ARN


def _schema_problems(states: dict[str, Any]) -> list[str]:
    role = "arn:aws:iam::000000000000:role/name"
    properties = {"RoleArn": role, "Definition": states}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    matches = lint_all(json.dumps({"Resources": {"Machine": machine}}))
    return [f"{match.rule.id}: {match.message}" for match in matches if match.rule.id[0] in "EW"]


def _reference_problems(states: dict[str, Any]) -> list[str]:
    # statelint demands 2.0 as the backoff rate; Step Functions also accepts 2.
    plain = json.loads(json.dumps(states), object_hook=_without_computed_seconds)
    return list(Linter.validate(plain, Config({ProblemType.FLOAT})))


def _without_computed_seconds(state: dict[str, Any]) -> dict[str, Any]:
    """Replace expressions by a number where statelint accepts no expression."""
    return {
        key: 1 if key.endswith("Seconds") and isinstance(value, str) else value
        for key, value in state.items()
    }


def _expression_problems(states: dict[str, Any]) -> Iterator[str]:
    for text in _texts(states):
        if expression := _EXPRESSION.match(text):
            try:
                jsonata.Jsonata(expression[1])
            except jsonata.JException as error:
                yield f"{text}: {error}"
        elif "{%" in text:
            yield f"{text}: an expression must be the whole text"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


if __name__ == "__main__":
    found = problems()
    for problem in found:
        print(problem)
    sys.exit(bool(found))
