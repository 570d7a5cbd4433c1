"""Paths in the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv"
LOCAL = ROOT / ".local"
"""Logs, temporary files, and the state of the local stack. Never committed."""
BUILD = ROOT / ".aws-sam" / "build"
"""The output of `sam build`, which `sam deploy` deploys."""


OPERATOR_PATH = os.pathsep.join(str(ROOT / part) for part in ("functions", "infra/operator"))
"""PYTHONPATH of what runs the operator's package from the checkout."""


def executable(environment: str, name: str) -> str:
    """Return the path of a program in one of the environments below .venv/."""
    return str(ENVIRONMENTS / environment / "bin" / name)
