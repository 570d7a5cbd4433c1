"""What a cold start loads, measured in fresh processes beside boto3 alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("submit", "poll", "publish", "session")
BASE = "boto3 client"
ENVIRONMENT = {
    "ARENA_BASE_URL": "https://api.arenasolutions.com/v1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_SECRET_ACCESS_KEY": "test",
    "DEFAULT_EXPORT_GUID": "",
    "LEDGER_TABLE_NAME": "ledger",
    "MAX_ITEMS_PER_RUN": "5000",
    "POWERTOOLS_METRICS_NAMESPACE": "ArenaExports",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "REQUEST_BUDGET_RESERVE": "500",
    "RUN_TIMEOUT_SECONDS": "3600",
    "SESSION_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:session",
    "CREDENTIALS_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:credentials",
    "OUTCOME_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:outcome",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/dead",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:000000000000:stateMachine:run",
    "SESSION_FUNCTION_NAME": "session",
    "WORKSPACE_NAME": "default",
}
_PROGRAM = """
import time, json, sys
began = time.process_time()
{work}
print(json.dumps([time.process_time() - began, sorted(sys.modules)]))
"""


def start(name: str) -> tuple[float, set[str]]:
    """Initialise a function, or make boto3's client alone, in a fresh process.

    Returns:
        Processor seconds, and the modules that were loaded.
    """
    work = (
        'import boto3; boto3.client("dynamodb")'
        if name == BASE
        else f"import {name}.handler; {name}.handler.real_parts()"
    )
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(work=work)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "functions"), **ENVIRONMENT},
        check=True,
        capture_output=True,
    )
    seconds, modules = json.loads(done.stdout)
    return float(seconds), set(modules)


def ratios(rounds: int) -> dict[str, float]:
    """Return for each function how many times the base it takes.

    The least of interleaved rounds: what else the machine does only ever adds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in (BASE, *FUNCTIONS)}
    for name in seconds:
        start(name)  # compiles what is not compiled yet
    for _ in range(rounds):
        for name, taken in seconds.items():
            taken.append(start(name)[0])
    return {name: min(taken) / min(seconds[BASE]) for name, taken in seconds.items()}
