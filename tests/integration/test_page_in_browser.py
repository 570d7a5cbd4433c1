"""The status page in Debian's Chromium: read, searched by keyboard, in both themes, on a phone.

`PICTURES=FOLDER` keeps the pictures, as `make screenshot` does for README.md.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waitress.server import create_server  # type: ignore[import-untyped]

from arena_exports_operator.page.source import Source
from infra.local.page import REFRESH_SECONDS, make_app
from infra.simulator import control
from tests.support.browser import CHROMIUM, HINT, browser
from tests.support.operator import stack_state
from tests.support.world import World, attempt_with_lease, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.browser import Tab

pytestmark = [pytest.mark.integration, pytest.mark.skipif(CHROMIUM is None, reason=HINT)]

PHONE, DESK = 360, 1180
THEMES = ("light", "dark")
CONTRAST = 4.5  # WCAG 2.2, AA
HOSTILE = "<script>document.title = 'broken'</script>"
# Texts of the page with the colours behind them, as the browser has worked them out.
COLOURS = """[...document.querySelectorAll('main *')].filter(e => [...e.childNodes].some(
    n => n.nodeType == 3 && n.data.trim())).map(e => {
  let behind = e;
  const ground = () => getComputedStyle(behind).backgroundColor;
  while (ground() == 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  return [e.tagName, getComputedStyle(e).color, ground()];
})"""


def busy_world() -> World:
    """A world with past runs, one of which failed, a run in progress, and what waits for it."""
    world = World(settings={"max_items_per_run": 400, "request_budget_reserve": 500})
    for number, status in enumerate(("COMPLETE", "FAILED", "COMPLETE")):
        control.set_settings(world.arena, {"runningSeconds": 150 + 20 * number})
        control.plan_runs(world.arena, {"status": status})
        world.send({"itemGuids": items(45 + 70 * number, 1000 * number)})
        world.settle()
    world.send(HOSTILE)
    world.send({"itemGuids": items(260, 5000), "correlationId": "ECO-000023"})
    world.run_for(80)
    world.send({"itemGuids": items(12, 6000), "correlationId": "ECO-000024"})
    world.send({"itemGuids": items(900, 7000), "priority": "bulk"})
    world.run_for(20)
    return world


@pytest.fixture(scope="module")
def world() -> World:
    """A busy world; no test changes it."""
    return busy_world()


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    """The page of that world, as the local stack serves it."""
    source = Source(world.ledger, world.table, world.clock, lambda: stack_state(world))
    server = create_server(make_app(lambda: source), host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}/"
    server.close()
    thread.join(10)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab of the browser."""
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab) -> Tab:
    """A tab without problems so far, at the size of a desktop screen."""
    chromium.problems.clear()
    chromium.show_as(width=DESK, height=800, theme="light")
    return chromium


def test_page__shows_the_status(tab: Tab, address: str, world: World) -> None:
    """Word, reasons, the run, what is pending and past runs are what is read there."""
    tab.open(address)
    text = tab.ask("document.body.innerText")
    assert tab.ask("document.title") == "DEGRADED - Arena exports"
    assert "The dead-letter queue has 1 entry" in text
    assert f"Run {attempt_with_lease(world).run_guid}" in text
    assert "900 bulk, 272 normal" in text
    assert tab.ask("document.querySelectorAll('tbody tr').length") == 5
    assert tab.problems == []


def test_search__works_by_keyboard_alone(tab: Tab, address: str, world: World) -> None:
    """Tab reaches the box, Enter searches, and Tab and Enter follow the link to the run."""
    tab.open(address)
    tab.press("Tab")
    assert tab.ask("document.activeElement.labels[0].innerText").startswith("Message id")
    assert _has_an_outline(tab)
    tab.type("ECO-000023")
    tab.press("Enter")
    tab.wait_until_loaded()
    assert tab.ask("location.search") == "?find=ECO-000023"
    assert "260 items, 260 of them pending" in tab.ask("document.body.innerText")
    guid = str(attempt_with_lease(world).run_guid)
    for _ in range(10):
        tab.press("Tab")
        assert _has_an_outline(tab)
        if tab.ask("document.activeElement.innerText") == guid:
            break
    tab.press("Enter")
    tab.wait_until_loaded()
    assert tab.ask("location.search") == f"?find={guid}"
    assert tab.problems == []


def _has_an_outline(tab: Tab) -> bool:
    style = tab.ask("getComputedStyle(document.activeElement).outlineStyle")
    return bool(style == "solid")


def test_search__of_a_script_shows_it(tab: Tab, address: str) -> None:
    """What somebody searches is text, and no script of the page's but its own may run."""
    tab.open(f"{address}?find={HOSTILE.replace(' ', '%20')}")
    assert HOSTILE in tab.ask("document.body.innerText")
    assert tab.ask("document.title") == f"{HOSTILE} - Arena exports"
    assert tab.ask("document.scripts.length") == 1
    tab.ask(
        "document.body.append(Object.assign(document.createElement('script'), "
        "{text: 'document.title = \\'broken\\''}))"
    )
    assert tab.ask("document.title") != "broken"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("query", ["", "?find=ECO-000023", "?find=nothing"], ids=str)
def test_page__can_be_read_in_both_themes(tab: Tab, address: str, theme: str, query: str) -> None:
    """Every text has enough contrast, and the themes are different."""
    tab.show_as(width=DESK, height=800, theme=theme)
    tab.open(address + query)
    colours = tab.ask(COLOURS)
    assert len(colours) > 5
    weak = [one for one in colours if _contrast(one[1], one[2]) < CONTRAST]
    assert weak == []
    ground = _luminance(tab.ask("getComputedStyle(document.querySelector('.ax')).backgroundColor"))
    assert (ground > 0.5) is (theme == "light")


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    "query", ["", "?find=ECO-000023", f"?find={'x' * 300}"], ids=["status", "found", "long"]
)
def test_page__fits_a_phone(tab: Tab, address: str, query: str) -> None:
    """Nothing is wider than the window; only tables scroll, each by itself."""
    tab.show_as(width=PHONE, height=740, theme="light")
    tab.open(address + query)
    assert tab.ask("document.documentElement.scrollWidth") == PHONE
    wide = "[...document.querySelectorAll('main > *')].filter(e => e.scrollWidth > e.clientWidth)"
    assert tab.ask(f"{wide}.every(e => e.matches('.table'))")


def test_page__loads_itself_again_unless_somebody_types(tab: Tab, address: str) -> None:
    """The script is loaded under the page's own policy, and leaves the search box alone."""
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="setInterval = (f, ms) => { window.again = f; window.every = ms; };",
    )
    tab.open(address)
    assert tab.ask("window.every") == REFRESH_SECONDS * 1000
    tab.press("Tab")
    tab.type("ECO")
    tab.ask("window.again()")
    assert tab.ask("document.activeElement.value") == "ECO"
    tab.ask("document.activeElement.blur()")
    tab.ask("window.again()")
    tab.wait_until_loaded()
    assert tab.ask("document.querySelector('input').value") == ""
    assert tab.problems == []


@pytest.mark.parametrize("theme", THEMES)
def test_page__has_its_picture_taken(tab: Tab, address: str, theme: str, tmp_path: Path) -> None:
    """README shows the pictures; they are taken anew by `make screenshot`."""
    folder = Path(os.environ.get("PICTURES", tmp_path))
    tab.show_as(width=DESK, height=400, theme=theme, scale=1.5)
    tab.open(address)
    path = folder / f"status-page-{theme}.png"
    tab.picture(path)
    width = int.from_bytes(path.read_bytes()[16:20], "big")
    assert width == DESK * 1.5
