"""List missing modules: `python -ISB reach.py ARTIFACT RUNTIME MODULE...`.

Imports each given module, and follows every import statement from there, even inside functions, but
not those for type checkers. Each import is tried, and the name of each missing module is printed.
The interpreter sees only what Lambda has: the standard library, the artifact, and `RUNTIME`.
"""

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

Import = tuple[str, str]
"""A module, and the name that is imported from it, or "" for the module itself."""


def main(artifact: Path, runtime: str, *modules: str) -> None:
    """Print the names of the missing modules."""
    sys.path[:] = [str(artifact), *sys.path, runtime]
    warnings.simplefilter("ignore")
    waiting, seen = list(modules), set[str]()
    for module in modules:
        _print_if_missing(module, "handler")
    while waiting:
        module = waiting.pop()
        path = _source(artifact, module)
        if module in seen or path is None:
            continue
        seen.add(module)
        for target, name in _imports(path, module):
            _print_if_missing(target, name)
            waiting += [target.rpartition(".")[0], target, *([f"{target}.{name}"] if name else [])]


def _source(artifact: Path, module: str) -> Path | None:
    if not module:
        return None
    base = artifact.joinpath(*module.split("."))
    found = (path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file())
    return next(found, None)


def _imports(path: Path, module: str) -> Iterator[Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _statements(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            target = "." * node.level + (node.module or "")
            absolute = importlib.util.resolve_name(target, package)
            yield from ((absolute, alias.name) for alias in node.names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements that run, without those below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _statements(other)
        else:
            yield child
            yield from _statements(child)


def _print_if_missing(module: str, name: str) -> None:
    try:
        found = importlib.import_module(module)
        if name not in ("", "*") and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ImportError as exc:
        print(exc.name or exc)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
