"""What a cold start loads and costs, measured in new processes and compared with boto3 alone.

Lambda's file system is read-only, so bytecode that is not in the zip is compiled at every cold
start: the functions are started from what `sam build` made, and no bytecode is written. boto3 comes
with its bytecode, as if Lambda's runtime had it compiled: the strictest comparison.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "functions"
FUNCTIONS = ("submit", "poll", "publish", "session", "deliver", "examine")
BASE = "boto3 client"
ENVIRONMENT = {
    "ARENA_BASE_URL": "https://api.arenasolutions.com/v1",
    "ARENA_CREDENTIALS_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:arena",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_SECRET_ACCESS_KEY": "test",
    "DEFAULT_EXPORT_GUID": "",
    "DELIVERY_BUCKET_NAME": "bucket",
    "DELIVERY_BUCKET_OWNER": "000000000000",
    "DELIVERY_PREFIX": "arena",
    "LEDGER_TABLE_NAME": "ledger",
    "MAX_ITEMS_PER_RUN": "5000",
    "POWERTOOLS_METRICS_NAMESPACE": "ArenaExports",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "REQUEST_BUDGET_RESERVE": "500",
    "RUN_TIMEOUT_SECONDS": "3600",
    "SESSION_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:session",
    "OUTCOME_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:outcome",
    "INTAKE_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/intake",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/dead",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:000000000000:stateMachine:run",
    "SESSION_FUNCTION_NAME": "session",
    "WORKSPACE_NAME": "default",
}
_PROGRAM = """
import sys, time
{path}
began = time.process_time()
{work}
seconds = time.process_time() - began
import json
print(json.dumps([seconds, sorted(sys.modules)]))
"""


def start(name: str, folder: Path = SOURCES) -> tuple[float, set[str]]:
    """Initialise a function, or make boto3's client alone, in a fresh process.

    Args:
        name: one of `FUNCTIONS`, or `BASE`.
        folder: what holds the function's packages.

    Returns:
        Processor seconds, and the modules that were loaded.
    """
    path, work = "", 'import boto3; boto3.client("dynamodb")'
    if name != BASE:
        path = f"sys.path.insert(0, {str(folder)!r})"
        work = f"import {name}.handler; {name}.handler.deployed()"
    done = subprocess.run(
        [sys.executable, "-IBc", _PROGRAM.format(path=path, work=work)],
        env={"PATH": os.environ["PATH"], **ENVIRONMENT},
        check=True,
        capture_output=True,
    )
    seconds, modules = json.loads(done.stdout)
    return float(seconds), set(modules)


def ratios(built: Path, rounds: int) -> dict[str, float]:
    """Return the processor time of each built function, as a multiple of the base.

    The minimum of interleaved rounds counts, because other work on the machine only adds time.
    """
    _compile_boto3()
    seconds: dict[str, list[float]] = {name: [] for name in (BASE, *FUNCTIONS)}
    for _ in range(rounds):
        for name, taken in seconds.items():
            taken.append(start(name, built)[0])
    return {name: min(taken) / min(seconds[BASE]) for name, taken in seconds.items()}


def _compile_boto3() -> None:
    packages = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "urllib3")
    program = "import compileall, importlib, sys\n" + "\n".join(
        f"compileall.compile_dir(importlib.import_module({name!r}).__path__[0], quiet=1)"
        for name in packages
    )
    subprocess.run([sys.executable, "-Ic", program], check=True)
