"""The status page of a local stack: `python -m infra.local.page STACK PORT`."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from waitress import serve  # type: ignore[import-untyped]

from arena_exports_operator.aws.calls import Aws
from arena_exports_operator.aws.stack import find_stack
from arena_exports_operator.errors import OperatorError
from arena_exports_operator.page.source import source_of
from arena_exports_operator.page.surface import FIELD, Browser
from arena_exports_operator.page.views import document, failure_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena_exports_operator.page.source import Source

REFRESH_SECONDS = 15
REFRESH = f"""setInterval(() => {{
  const typing = document.activeElement.matches("input");
  if (!document.hidden && !typing) location.reload();
}}, {REFRESH_SECONDS * 1000});
"""
"""Loads the page again, but not under the hands of somebody who types."""
_SCRIPT = "/refresh.js"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def make_app(source: Callable[[], Source]) -> Flask:
    """Return the application; `/?find=TEXT` shows what is known of a text."""
    app = Flask(__name__, static_folder=None)

    @app.get("/")
    def page() -> Response:
        try:
            view = source().view(request.args.get(FIELD, ""), Browser())
        except OperatorError as exc:  # there is no such stack
            view = failure_view(str(exc), Browser())
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        return Response(document(view, _SCRIPT), headers=headers)

    @app.get(_SCRIPT)
    def refresh() -> Response:
        return Response(REFRESH, mimetype="text/javascript")

    return app


def main(stack: str, port: str) -> None:
    """Serve the page on the loopback interface."""
    aws = Aws()
    # A stack that is not there yet is looked for again at the next request.
    source = cache(lambda: source_of(aws, find_stack(aws, stack, Path())))
    serve(make_app(source), host="127.0.0.1", port=int(port), threads=4)


if __name__ == "__main__":
    main(*sys.argv[1:])
