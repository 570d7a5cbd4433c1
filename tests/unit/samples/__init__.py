"""The vendor's documented answers, as files."""

import json
from pathlib import Path
from typing import Any

SAMPLES = {path.stem: path for path in Path(__file__).parent.glob("*.json")}


def sample(name: str) -> Any:
    """Return a sample's JSON."""
    return json.loads(SAMPLES[name].read_text())
