"""What checks a change: CI, the hooks and the workflow run the README's commands."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from infra.local.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def hooks() -> list[dict[str, Any]]:
    """Return the hooks of pre-commit."""
    (repo,) = yaml.safe_load(HOOKS)["repos"]
    assert repo["repo"] == "local"
    found: list[dict[str, Any]] = repo["hooks"]
    return found


def test_ci__runs_the_commands_of_the_readme() -> None:
    """CI runs `make check`, then `make test`, and nothing that the README leaves out."""
    commands = re.findall(r"^(?:exec )?(make \w+)$", CI, re.MULTILINE)
    assert commands == ["make check", "make test"]
    assert all(f"`{command}`" in README for command in commands)


def test_ci__measures_coverage() -> None:
    """With CI=true, `make test` passes or fails by the gate of `make coverage`."""
    for variables, measured in (
        (["CI=true"], True),
        (["CI="], False),
        (["CI=true", "ARGS=x"], False),
    ):
        # Not this process's environment: a make above may have set ARGS or CI.
        command = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "make", "-n", "test", *variables]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ("coverage report --include" in printed.stdout) is measured
        assert (" --cov " in printed.stdout) is measured


def test_hooks__run_what_make_check_runs() -> None:
    """The quick ones are lines of `make check`, and the last one is the whole of it."""
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    checks = {line.strip() for line in recipe.splitlines()} | {"make check"}
    entries = [hook["entry"] for hook in hooks()]
    assert set(entries) <= checks
    assert entries[-1] == "make check"


def test_hooks__download_nothing() -> None:
    """They run the tools of this checkout."""
    assert {hook["language"] for hook in hooks()} == {"system"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow__runs_ci_with_pinned_actions(path: Any) -> None:
    """A tag can be moved to other code; a commit cannot."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name)] == []
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
