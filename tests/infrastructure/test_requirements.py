"""Requirements: every package has one version and its hashes, from any index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.local.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WANTED = sorted(
    path for top in ("functions", "infra", "tests") for path in (ROOT / top).rglob("*.in")
)
LOCKED = [path.with_suffix(".txt") for path in WANTED]
PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==[\w.]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+")


def lines(path: Path) -> list[str]:
    """Return the lines of a file without comments, with continued lines joined."""
    plain = (re.sub(r"(^|\s)#.*", "", line) for line in joined(path).splitlines())
    return [" ".join(line.split()) for line in plain if line.strip()]


def joined(path: Path) -> str:
    """Return the text of a file with its continued lines joined."""
    return path.read_text().replace("\\\n", " ")


def shown(path: Path) -> str:
    """Return the name of a file in the Makefile."""
    return str(path.relative_to(ROOT).with_suffix(""))


def test_lock__writes_every_file() -> None:
    """`make lock` covers each list of requirements, and each list is locked."""
    (named,) = re.findall(r"^REQUIREMENTS := (.*)", joined(ROOT / "Makefile"), re.MULTILINE)
    assert sorted(named.split()) == sorted(map(shown, WANTED))
    assert {shown(path) for path in LOCKED} >= {"functions/requirements", "tests/requirements"}


@pytest.mark.parametrize("path", LOCKED, ids=shown)
def test_lock__pins_versions_and_hashes(path: Path) -> None:
    """Each line is a version with its hashes, and nothing else."""
    found = lines(path)
    assert found
    for line in found:
        assert PINNED.fullmatch(line), line


@pytest.mark.parametrize("path", WANTED, ids=shown)
def test_lock__holds_what_is_wanted(path: Path) -> None:
    """A package that is added to a list is locked as well."""
    names = (PINNED.fullmatch(line) for line in lines(path.with_suffix(".txt")))
    locked = {found["name"] for found in names if found}
    wanted = [line for line in lines(path) if not line.startswith("-")]
    assert {canonicalize_name(Requirement(line).name) for line in wanted} <= locked


@pytest.mark.parametrize("makefile", ["Makefile", "functions/Makefile"])
def test_install__asks_for_hashes(makefile: str) -> None:
    """Every installation requires hashes."""
    commands = joined(ROOT / makefile).splitlines()
    installing = [line for line in commands if re.search(r"\bpip (install|sync)\b", line)]
    assert installing
    assert all("--require-hashes" in line for line in installing)


def test_build__fetches_by_the_makefile_alone() -> None:
    """Every function has a BuildMethod; otherwise `sam build` would install without hashes."""
    template = (ROOT / "template.yaml").read_text()
    functions = template.count("Type: AWS::Serverless::Function\n")
    assert template.count("BuildMethod: makefile\n") == functions == 7
