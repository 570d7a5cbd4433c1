"""Chromium, headless, driven by its DevTools protocol over a pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
HINT = "there is no Chromium: install it with `make browser`"
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # containers have none, and the only pages are ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "about:blank",
)
# Chromium reads commands from file 3 and writes answers to file 4.
_ON_FILES_3_AND_4 = """
import os, sys
commands, answers = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
for given, wanted in ((commands, 3), (answers, 4)):
    os.dup2(given, wanted)
    os.set_inheritable(wanted, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
_KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r")}


@dataclass
class Tab:
    """A tab of the browser."""

    commands: IO[bytes]
    answers: IO[bytes]
    session: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    problems: list[str] = field(default_factory=list)
    """Errors of scripts, and what the browser refused to load."""

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        number = next(self.numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        answer = self._read_until(lambda found: found.get("id") == number)
        assert "error" not in answer, answer
        return answer["result"]

    def _read_until(self, wanted: Any) -> Any:
        while True:
            found = self._read()
            if found.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(json.dumps(found["params"]))
            if wanted(found):
                return found

    def _read(self) -> Mapping[str, Any]:
        text = b""
        while not text.endswith(b"\0"):
            byte = self.answers.read(1)
            assert byte, "the browser has ended"
            text += byte
        found: Mapping[str, Any] = json.loads(text[:-1])
        return found

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("Page.navigate", url=url)
        self.wait_until_loaded()

    def wait_until_loaded(self) -> None:
        """Wait for the end of a navigation."""
        self._read_until(lambda found: found.get("method") == "Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key."""
        name, code, text = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def show_as(self, *, width: int, height: int, theme: str, scale: float = 1) -> None:
        """Show pages in a window of this size, in `light` or `dark`."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": theme}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Write a picture of the page to a PNG file, whole, whatever the window's height."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {**size, "x": 0, "y": 0, "scale": 1}
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """Start Chromium with its files in a folder, and yield an empty tab."""
    assert CHROMIUM
    to_read, commands = os.pipe()
    answers, to_write = os.pipe()
    with (
        os.fdopen(commands, "wb") as out,
        os.fdopen(answers, "rb") as back,
        (folder / "chromium.log").open("wb") as log,
    ):
        files = (to_read, to_write)
        start = [sys.executable, "-c", _ON_FILES_3_AND_4, *map(str, files), CHROMIUM]
        process = subprocess.Popen(
            [*start, f"--user-data-dir={folder / 'profile'}", *_OPTIONS],
            pass_fds=files,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
        )
        for file in files:
            os.close(file)
        try:
            yield _first_tab(Tab(out, back))
        finally:
            process.terminate()
            process.wait(10)


def _first_tab(tab: Tab) -> Tab:
    target = tab.call("Target.createTarget", url="about:blank")["targetId"]
    tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log"):
        tab.call(f"{domain}.enable")
    return tab
