"""The import arrow between layers, which are folders.

Handler → services → domain; services → ports ← adapters.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
PACKAGE = FUNCTIONS / "arena_exports"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
# What each layer may import from the others. Handlers are the folders beside the package.
MAY_IMPORT = {
    "ports": set[str](),
    "domain": {"ports"},
    "ledger": {"domain", "ports"},
    "arena": {"domain", "ledger", "ports"},
    "services": {"arena", "domain", "ledger", "ports"},
    "adapters": {"domain", "ports"},
    "wiring": {"adapters", "arena", "domain", "ledger", "ports", "services"},
    "handlers": {"adapters.telemetry", "domain", "services", "wiring"},
}
SDKS = {"boto3", "botocore", "requests", "urllib3", "aws_lambda_powertools"}
MAY_IMPORT_SDKS = {"adapters", "wiring"}
IMPURE = {"os", "pathlib", "random", "secrets", "socket", "subprocess", "time", "uuid"}


def layer_of(path: Path) -> str:
    """Return the layer of a module: the name of its folder in the package, or of a module in it."""
    first, *rest = path.relative_to(FUNCTIONS).with_suffix("").parts
    return "handlers" if first != PACKAGE.name else rest[0]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, at run time or for its types."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            own = node.module == PACKAGE.name  # `from arena_exports import x` imports a module
            names |= {f"{node.module}.{a.name}" for a in node.names} if own else {node.module}
    return names


def within(name: str, packages: set[str]) -> bool:
    """Tell whether a module is one of the packages, or inside one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


LAYERED = [path for path in MODULES if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", LAYERED, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_imports__run_one_way(path: Path) -> None:
    """A module imports its own layer and those below it, and only adapters import an SDK."""
    layer = layer_of(path)
    inner = {
        name.removeprefix("arena_exports.")
        for name in imports(path)
        if name.startswith("arena_exports.")
    }
    wrong = {name for name in inner if not within(name, MAY_IMPORT[layer] | {layer})}
    sdks = {name for name in imports(path) if within(name, SDKS)}
    allowed = layer in MAY_IMPORT_SDKS or (layer == "handlers" and all("typing" in n for n in sdks))
    assert not wrong
    assert allowed or not sdks


def test_layers__are_the_folders() -> None:
    """Each folder and module of the package is a layer that has a rule."""
    assert {layer_of(path) for path in LAYERED} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", sorted((PACKAGE / "domain").glob("*.py")), ids=lambda p: p.stem)
def test_domain__is_pure(path: Path) -> None:
    """A module of the domain reads no clock, environment or file, and rolls no dice."""
    assert not {name for name in imports(path) if within(name, IMPURE)}


def test_imports__have_no_cycle() -> None:
    """No module of the package imports itself by way of others at run time."""
    graph = {name_of(path): runtime_imports(path) for path in PACKAGE.rglob("*.py")}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name not in done:
            for other in graph[name] & graph.keys():
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(FUNCTIONS).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def runtime_imports(path: Path) -> set[str]:
    """Return the modules that a file imports when it is loaded."""
    modules = {name_of(other) for other in PACKAGE.rglob("*.py")}
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            names |= inner or {node.module}
    return names
