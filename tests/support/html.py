"""A page as a reader sees it: its texts, tables and labelled figures."""

from __future__ import annotations

from html.parser import HTMLParser

_WITHOUT_END = {"input", "meta"}


class Page(HTMLParser):
    """The elements of a page. Fails where a tag is not closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[str] = []
        self._elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(html)
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._elements.append((tag, dict(attrs), []))
        if tag not in _WITHOUT_END:
            self._open.append(len(self._elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self._elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        # What is for the console and not for readers is no part of the elements around it.
        hidden = self._open and self._elements[self._open[-1]][0] == "cwdb-action"
        for number in self._open[-1:] if hidden else self._open:
            self._elements[number][2].append(data)

    @property
    def text(self) -> str:
        """Everything that is written on it, without the style."""
        return "\n".join(self.texts("main"))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements: `p`, or `p.word` for those whose first class is that."""
        tag, _, name = selector.partition(".")
        return [
            "".join(parts)
            for found, attributes, parts in self._elements
            if (found == tag and (attributes.get("class") or "").split(" ")[0:1] == [name])
            or (found == tag and not name)
        ]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of the elements with a tag."""
        return [attributes for found, attributes, _ in self._elements if found == tag]

    @property
    def figures(self) -> dict[str, str]:
        """The labelled figures."""
        return dict(zip(self.texts("dt"), self.texts("dd"), strict=True))

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the first table."""
        width = len(self.texts("th"))
        cells = self.texts("td")
        return [cells[start : start + width] for start in range(0, len(cells), width or 1)]

    def column(self, header: str) -> list[str]:
        """Return the cells below a header, in the table that has it."""
        found: list[str] = []
        headers: list[str] = []
        cells: list[str] = []
        for tag, _, parts in self._elements:
            if tag == "table":
                headers, cells = [], []
            elif tag == "th":
                headers.append("".join(parts))
            elif tag == "td":
                cells.append("".join(parts))
                if header in headers and (len(cells) - 1) % len(headers) == headers.index(header):
                    found.append(cells[-1])
        return found
