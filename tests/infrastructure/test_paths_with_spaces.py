"""A checkout may be below a path with spaces."""

from __future__ import annotations

import re

import pytest

from infra.local.paths import ROOT

SPLITS_AT_SPACES = re.compile(r"\$\((abspath|realpath|dir|notdir|wildcard)\b")
QUOTED = re.compile(r'"[^"]*"')
PATHS = ("$(CURDIR)", "$(WHEELS)", "$$ARTIFACTS_DIR", "$$new")


@pytest.mark.parametrize("makefile", ["Makefile", "functions/Makefile"])
def test_make__keeps_paths_whole(makefile: str) -> None:
    """No make function splits a path, and absolute paths are quoted in the shell."""
    text = (ROOT / makefile).read_text()
    assert not SPLITS_AT_SPACES.search(text)
    recipes = [line for line in text.splitlines() if line.startswith("\t")]
    unquoted = [QUOTED.sub("", line) for line in recipes]
    assert not [line for line in unquoted for path in PATHS if path in line]
