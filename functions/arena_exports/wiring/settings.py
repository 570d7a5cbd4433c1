"""The environment of a function, read and checked once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena_exports.domain.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

ARENA_HOSTS = frozenset(
    {
        "api.arenasolutions.com",
        "api.arenagov.com",
        "api.europe.arenaplm.com",
        "api.uk.arenaplm.com",
        "api.arenaplm.cn",
    }
)
_ARENA_ADDRESS = re.compile(r"https://(?P<host>[a-z.]+)/v1")
_LOOPBACK_ADDRESS = re.compile(
    r"http://(127\.0\.0\.1|localhost):(?P<port>[1-9][0-9]{0,4})(/[A-Za-z0-9._-]+)*"
)
_MAX_PORT = 65535

# For the seconds of an update in which new code still has the older template's environment.
_ADDED_LATER = {"REQUEST_BUDGET_POLL_SHARE": "50"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function; values that it does not use are empty."""

    arena_base_url: str
    workspace: str
    default_export_guid: str
    max_items_per_run: int
    run_timeout_seconds: int
    request_budget_reserve: int
    request_budget_poll_share: int
    ledger_table_name: str
    session_secret_arn: str
    intake_queue_url: str = ""
    outcome_topic_arn: str = ""
    dead_letter_queue_url: str = ""
    state_machine_arn: str = ""
    session_function_name: str = ""
    credentials_secret_arn: str = ""
    exports_paused: bool = False
    delivers_files: bool = False
    deliver_function_name: str = ""
    delivery_bucket_name: str = ""
    delivery_bucket_owner: str = ""
    delivery_prefix: str = ""
    delivery_key_arn: str = ""


def in_lambda() -> bool:
    """Return whether this process is a Lambda function."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def checked_base_url(url: str) -> str:
    """Return `url` if it is one of Arena's five addresses or a loopback stand-in.

    Raises:
        SettingsError: any other scheme, host, port, user info, or spelling (R9: the session id goes
            there).
    """
    arena = _ARENA_ADDRESS.fullmatch(url)
    if arena and arena["host"] in ARENA_HOSTS:
        return url
    loopback = _LOOPBACK_ADDRESS.fullmatch(url)
    if loopback and int(loopback["port"]) <= _MAX_PORT:
        return url
    message = (
        "ARENA_BASE_URL must be one of Arena's five addresses with /v1, "
        "or http on 127.0.0.1 or localhost with a port"
    )
    raise SettingsError(message)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment variables that template.yaml sets.

    Raises:
        SettingsError: a variable is missing or has an invalid value; the message names it.
    """
    env = {**_ADDED_LATER, **(os.environ if environment is None else environment)}
    return Settings(
        arena_base_url=checked_base_url(_text(env, "ARENA_BASE_URL")),
        workspace=_text(env, "WORKSPACE_NAME"),
        default_export_guid=env.get("DEFAULT_EXPORT_GUID", ""),
        max_items_per_run=_whole_number(env, "MAX_ITEMS_PER_RUN", 1, 20_000),
        run_timeout_seconds=_whole_number(env, "RUN_TIMEOUT_SECONDS", 60, 10**9),
        request_budget_reserve=_whole_number(env, "REQUEST_BUDGET_RESERVE", 0, 10**6),
        request_budget_poll_share=_whole_number(env, "REQUEST_BUDGET_POLL_SHARE", 1, 100),
        ledger_table_name=_text(env, "LEDGER_TABLE_NAME"),
        session_secret_arn=_text(env, "SESSION_SECRET_ARN"),
        intake_queue_url=env.get("INTAKE_QUEUE_URL", ""),
        outcome_topic_arn=env.get("OUTCOME_TOPIC_ARN", ""),
        dead_letter_queue_url=env.get("DEAD_LETTER_QUEUE_URL", ""),
        state_machine_arn=env.get("STATE_MACHINE_ARN", ""),
        session_function_name=env.get("SESSION_FUNCTION_NAME", ""),
        credentials_secret_arn=env.get("ARENA_CREDENTIALS_SECRET_ARN", ""),
        exports_paused=env.get("EXPORTS_PAUSED", "false") == "true",
        delivers_files=env.get("DELIVER_FILES", "false") == "true",
        deliver_function_name=env.get("DELIVER_FUNCTION_NAME", ""),
        delivery_bucket_name=env.get("DELIVERY_BUCKET_NAME", ""),
        delivery_bucket_owner=env.get("DELIVERY_BUCKET_OWNER", ""),
        delivery_prefix=env.get("DELIVERY_PREFIX", ""),
        delivery_key_arn=env.get("DELIVERY_KEY_ARN", ""),
    )


def _text(env: Mapping[str, str], name: str) -> str:
    if name not in env:
        message = f"environment variable {name} is missing"
        raise SettingsError(message)
    return env[name]


def _whole_number(env: Mapping[str, str], name: str, lowest: int, highest: int) -> int:
    value = _text(env, name)
    if not value.isascii() or not value.isdigit() or not lowest <= int(value) <= highest:
        message = f"environment variable {name} must be a whole number from {lowest} to {highest}"
        raise SettingsError(message)
    return int(value)
