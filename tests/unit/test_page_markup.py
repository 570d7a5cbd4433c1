"""The markup of the status page: no text from outside becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_exports_operator.page.markup import Markup, element, joined
from tests.support.properties import thorough

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</style><b>",
    "&lt;b&gt;",
    "<!--",
    "]]>",
    "\x00<b>",
    "\ud800",
]
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters() | st.sampled_from("<>&\"'/=` "))


class Seen(HTMLParser):
    """What a browser would make of HTML: tags, attributes and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def plain(text: str) -> str:
    """Return a text as the page shows it, where it holds no e-mail address."""
    return text.encode("utf-8", "replace").decode()


@thorough()
@given(TEXTS.filter(lambda text: "@" not in text), TEXTS)
def test_element__escapes_texts_and_attributes(text: str, value: str) -> None:
    """Any text stays a text, and any value stays the value of its attribute."""
    made = element("p", text, element("b", text), title=value)
    seen = Seen(made)
    assert [tag for tag, _ in seen.tags] == ["p", "b"]
    assert seen.tags[0][1].keys() == {"title"}
    assert made.count("<") == 4
    assert seen.text.replace("\ufffd", "\0") == (plain(text) * 2).replace("\ufffd", "\0")
    assert '"' not in made.replace(' title="', "", 1).partition('">')[0]


@given(TEXTS)
def test_joined__escapes_what_is_no_markup(text: str) -> None:
    """A text between markup is escaped, and the markup is not escaped again."""
    made = joined([Markup("<i>"), text, Markup("</i>")])
    assert made.startswith("<i>")
    assert made.endswith("</i>")
    assert made.count("<") == 2


def test_markup__that_is_changed_is_text_again() -> None:
    """A part of markup, or markup in a format, is escaped: too much rather than too little."""
    bold = element("b", "x")
    assert element("p", f"{bold}") == "<p>&lt;b&gt;x&lt;/b&gt;</p>"
    assert element("p", bold[:3]) == "<p>&lt;b&gt;</p>"


def test_text__shows_no_e_mail_address() -> None:
    """An address, for example in the ARN of a session, is left out."""
    made = element("p", "arn:aws:sts::1:assumed-role/Operators/jane@example.com")
    assert made == "<p>arn:aws:sts::1:assumed-role/Operators/[e-mail address]</p>"


@pytest.mark.parametrize(("name", "spelled"), [("class_", "class"), ("aria_label", "aria-label")])
def test_attribute__is_spelled_as_html_has_it(name: str, spelled: str) -> None:
    """Underscores stand for hyphens, and keep a name apart from Python's keywords."""
    assert element("p", **{name: "x"}) == f'<p {spelled}="x"></p>'


def test_element__of_an_input_has_no_end() -> None:
    """Elements without contents have no end tag."""
    assert element("input", name="find") == '<input name="find">'
