"""`python -m arena_exports_operator` is `arena-exports`."""

from __future__ import annotations

from arena_exports_operator.command.main import main

if __name__ == "__main__":
    main(prog_name="arena-exports")
