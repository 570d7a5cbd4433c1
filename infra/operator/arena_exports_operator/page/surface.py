"""Where the status is shown: how to search there, and how to link from one view to another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode

from arena_exports_operator.page.markup import Markup, element, joined

FIELD = "find"
"""The name of the search box."""
_LABEL = "Message id, correlation id, item, run or file"


class Surface(Protocol):
    """A place that shows views."""

    @property
    def theme(self) -> str:
        """`light`, `dark`, or `auto`, which follows the reader's system."""

    def search(self, text: str) -> Markup:
        """Return the search form, filled with a text."""

    def link(self, label: str, text: str) -> Markup:
        """Return a link to what is known of a text; "" for the status."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A web page whose address has the search text."""

    theme: str = "auto"

    def search(self, text: str) -> Markup:
        """Return a form that opens `?find=TEXT`."""
        button = element("button", "Find", type="submit")
        return element(
            "form", _label(), _box(text), button, method="get", action="./", role="search"
        )

    def link(self, label: str, text: str) -> Markup:
        """Return a link to `?find=TEXT`."""
        return element("a", label, href=f"./?{urlencode({FIELD: text})}" if text else "./")


@dataclass(frozen=True, slots=True)
class Widget:
    """A custom widget on a CloudWatch dashboard.

    It has no addresses and no scripts: `cwdb-action` has the console call the function at
    `endpoint`, with the fields of all forms, when the element before it is clicked (AWS:
    Interactivity in the custom widget).
    """

    endpoint: str
    theme: str

    def search(self, text: str) -> Markup:
        """Return a form, and a button that calls the function.

        The form's own button is disabled, so that Enter does not leave the dashboard.
        """
        none = Markup('<button type="submit" disabled hidden></button>')
        form = element("form", _label(), _box(text), none, role="search")
        return element("div", form, self._action("Find", ""), class_="search")

    def link(self, label: str, text: str) -> Markup:
        """Return a button that calls the function with a text."""
        return self._action(label, json.dumps({FIELD: text}), class_="link")

    def _action(self, label: str, parameters: str, **attributes: str) -> Markup:
        button = element("button", label, type="button", **attributes)
        call = element("cwdb-action", parameters, action="call", endpoint=self.endpoint)
        return joined([button, call])


def _label() -> Markup:
    return element("label", _LABEL, for_=FIELD)


def _box(text: str) -> Markup:
    return element(
        "input",
        type="search",
        id=FIELD,
        name=FIELD,
        value=text,
        autocomplete="off",
        spellcheck="false",
    )
