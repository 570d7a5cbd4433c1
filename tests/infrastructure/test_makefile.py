"""The Makefile, also with the make of macOS, and the commands in the documents."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from infra.local import summary
from infra.local.paths import ENVIRONMENTS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = (ROOT / "Makefile").read_text()
RECIPES = re.findall(r"^\t(.*)", re.sub(r"\\\n\s*", " ", MAKEFILE), re.MULTILINE)
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".cache", ".aws-sam", ".local"} & set(path.relative_to(ROOT).parts)
)
PASSWORD = re.compile(r"""password["']?\s*[:=]""", re.IGNORECASE)


def installed() -> set[str]:
    """Return the names of the commands below .venv, including those of later packages."""
    wanted = (path.read_text() for path in (ROOT / "infra" / "local" / "requirements").glob("*.in"))
    packages = {name for text in wanted for name in re.findall(r"^[a-z][\w-]*", text, re.MULTILINE)}
    commands = {path.name for path in ENVIRONMENTS.glob("*/bin/*")}
    return commands | packages | {"sam", "checkov", "uv", "pytest", "ruff", "mypy"}


def commands(page: Path) -> list[str]:
    """Return the lines of a page's shell commands."""
    found, language = [], None
    for line in page.read_text().splitlines():
        if fence := re.match(r" *```(\w*)", line):
            language = fence[1] if language is None else None
        elif language == "sh" or (language is None and re.match(r" {4}\S", line)):
            found.append(line.strip())
    return found


def test_recipes__call_tools_by_their_path() -> None:
    """Commands have a path: Apple's make 3.81 searches the PATH with which make was started."""
    assert len(RECIPES) > 30
    tools = installed()
    bare = [
        line
        for line in RECIPES
        for command in re.split(r"&&|\|\||[;|{]", line.lstrip("@-"))
        if (words := command.split()) and words[0] in tools
    ]
    assert bare == []


def test_deploy__needs_the_environment_of_sam_alone() -> None:
    """Deploying needs neither the test environment nor the embedded AWS."""
    (needed,) = re.findall(r"^deploy:(.*?)##", MAKEFILE, re.MULTILINE)
    assert needed.split() == [".venv/sam/.stamp"]
    (recipe,) = re.findall(r"^deploy:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert set(re.findall(r"\.venv/(\w+)", recipe)) == {"sam"}


def test_deploy__imports_in_the_environment_of_sam() -> None:
    """infra.deploy can be imported with the packages of the SAM environment."""
    python = ENVIRONMENTS / "sam" / "bin" / "python"
    subprocess.run([python, "-c", "import infra.deploy.__main__"], cwd=ROOT, check=True)


def test_sam__leaves_nothing_in_the_home_directory() -> None:
    """The SAM CLI keeps its settings below the checkout."""
    assert re.search(r"^export __SAM_CLI_APP_DIR := \$\(CURDIR\)/", MAKEFILE, re.MULTILINE)


def test_paths__with_a_space_are_quoted() -> None:
    """CURDIR may contain a space, at which make's file name functions would split it."""
    assert not re.findall(r"\$\((?:abspath|realpath|wildcard|dir) ", MAKEFILE)
    assert [line for line in RECIPES if "$(CURDIR)" in re.sub(r'"[^"]*"', "", line)] == []


def chosen_python(makefile: str, path: Path) -> str:
    """Return the Python that make would use with this PATH."""
    text = f"include {makefile}\nshow: ; @echo $(PYTHON)\n"
    result = subprocess.run(
        ["/usr/bin/env", "-i", f"PATH={path}:/usr/bin:/bin", "make", "-s", "-f", "-", "show"],
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.parametrize("names", [("python3.11", "python3"), ("python3.11", "python3.14")])
def test_python__that_does_not_run_is_passed_over(tmp_path: Path, names: tuple[str, str]) -> None:
    """A shim of a version manager that exits with 127 is skipped."""
    shim, good = names
    (tmp_path / shim).write_text("#!/bin/sh\necho 'not found' >&2\nexit 127\n")
    for name in {"python3", "python3.14"} - {good}:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / good).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    assert chosen_python("Makefile", tmp_path) == good


def same_python(folder: Path, *, made: str, named: str) -> subprocess.CompletedProcess[str]:
    """Compare the Python that made .venv/ ("" for none yet) with the one that is named."""
    tools = folder / "tools"
    (tools / "bin").mkdir(parents=True)
    for path, version in ((tools / "bin" / "python", made), (folder / "named", named)):
        if version:
            path.write_text(f"#!/bin/sh\necho {version}\n")
            path.chmod(0o755)
    variables = [f"TOOLS={tools}", f"PYTHON={folder / 'named'}"]
    return subprocess.run(
        ["/usr/bin/env", "make", "--no-print-directory", ".same-python", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_python__other_than_that_of_venv_is_refused(tmp_path: Path) -> None:
    """.venv/ would silently keep the Python that it was made with."""
    result = same_python(tmp_path, made="3.11", named="3.14")
    assert result.returncode
    assert ".venv/ was made with Python 3.11." in result.stdout
    assert "make clean" in result.stdout


@pytest.mark.parametrize("made", ["3.14", ""])
def test_python__of_venv_is_accepted(tmp_path: Path, made: str) -> None:
    """As is any Python as long as there is no .venv/."""
    result = same_python(tmp_path, made=made, named="3.14")
    assert (result.returncode, result.stdout) == (0, "")


def test_python__is_compared_before_venv_is_used() -> None:
    """Each environment is made by the tools, and they wait for the comparison."""
    assert re.search(r"^\$\(TOOLS\)/\.stamp: .* \| \.same-python$", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize(("code", "shown"), [(0, ""), (1, "hints")])
def test_build__shows_its_output_only_if_it_fails(tmp_path: Path, code: int, shown: str) -> None:
    """SAM ends with hints of what to do next, which `make deploy` does itself."""
    sam = tmp_path / "sam"
    sam.write_text(f"#!/bin/sh\necho hints\nexit {code}\n")
    sam.chmod(0o755)
    result = subprocess.run(
        ["/usr/bin/env", "make", "-s", "--no-print-directory", "-f", "-", "show", f"SAM={sam}"],
        input="include Makefile\nshow:\n\t$(build)\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout.strip(), bool(result.returncode)) == (shown, bool(code))
    (recipe,) = re.findall(r"^deploy:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert "\t$(build)\n" in recipe


def test_help__has_a_line_for_each_target() -> None:
    """`make` lists every public target."""
    targets = set(re.findall(r"^\.PHONY: (\w+)", MAKEFILE, re.MULTILINE))
    described = set(re.findall(r"^(\w+):.*## \w", MAKEFILE, re.MULTILINE))
    assert targets == described


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands__end_without_a_comment(page: Path) -> None:
    """Commands have no comments, because zsh on a Mac treats `#` as an argument."""
    assert [line for line in commands(page) if re.search(r"(^|\s)#", line)] == []


def test_commands__are_found() -> None:
    """The documents contain commands, so that these tests are not vacuous."""
    assert "make run" in " ".join(commands(ROOT / "README.md"))
    assert len(commands(ROOT / "infra" / "runbook.md")) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands__have_no_password(page: Path) -> None:
    """No command contains a password: shells keep a history, and processes see arguments."""
    places = (ROOT / "infra" / "local", ROOT / "infra" / "simulator")
    local = any(map(page.is_relative_to, places))  # the simulator's passwords are no secret
    assert local or [line for line in commands(page) if PASSWORD.search(line)] == []


def test_summary__can_be_copied_too() -> None:
    """The output of `make up` has no comments either."""
    printed = [line for lines in summary._COMMANDS.values() for line in lines]
    assert [line for line in printed if re.search(r"\s#", line)] == []
