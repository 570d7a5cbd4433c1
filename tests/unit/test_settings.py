"""The environment of a function is checked once, and an error names the variable."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Request

from arena_exports.arena.protocol import read_run
from arena_exports.domain.errors import RequestNotCompletedError, SettingsError
from arena_exports.domain.model import ExportGuid
from arena_exports.domain.runs import parse_run
from arena_exports.wiring.settings import ARENA_HOSTS, checked_base_url, read_settings
from tests.support import addresses
from tests.support.properties import thorough

ENVIRONMENT = {
    "ARENA_BASE_URL": "https://api.arenasolutions.com/v1",
    "WORKSPACE_NAME": "default",
    "MAX_ITEMS_PER_RUN": "5000",
    "RUN_TIMEOUT_SECONDS": "3600",
    "REQUEST_BUDGET_RESERVE": "500",
    "LEDGER_TABLE_NAME": "ledger",
    "SESSION_SECRET_ARN": "arn",
}


def test_settings__are_read() -> None:
    """Variables that are set are read; those that a function does not use are empty."""
    read = read_settings(ENVIRONMENT)
    assert read.max_items_per_run == 5000
    assert read.state_machine_arn == ""


def test_settings__of_an_older_template_have_the_default_share() -> None:
    """During an update, new code may start with the environment of the older template."""
    assert read_settings(ENVIRONMENT).request_budget_poll_share == 50
    share = read_settings({**ENVIRONMENT, "REQUEST_BUDGET_POLL_SHARE": "7"})
    assert share.request_budget_poll_share == 7


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_settings__report_a_missing_variable(name: str) -> None:
    """The error names the missing variable."""
    with pytest.raises(SettingsError, match=name):
        read_settings({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ITEMS_PER_RUN", "0"),
        ("MAX_ITEMS_PER_RUN", "20001"),
        ("MAX_ITEMS_PER_RUN", "many"),
        ("MAX_ITEMS_PER_RUN", "٣"),
        ("RUN_TIMEOUT_SECONDS", "59"),
        ("REQUEST_BUDGET_RESERVE", "-1"),
        ("REQUEST_BUDGET_POLL_SHARE", "0"),
        ("REQUEST_BUDGET_POLL_SHARE", "101"),
        ("ARENA_BASE_URL", "http://api.arenasolutions.com/v1"),
    ],
)
def test_settings__report_a_value_out_of_range(name: str, value: str) -> None:
    """The error for an invalid value names the variable."""
    with pytest.raises(SettingsError, match=name):
        read_settings({**ENVIRONMENT, name: value})


def test_arena_hosts__are_arena_s_five() -> None:
    """The list holds the hosts that Arena documents, and no other."""
    assert {f"https://{host}/v1" for host in ARENA_HOSTS} == set(addresses.ARENA)


@pytest.mark.parametrize("url", addresses.ACCEPTED)
def test_base_url__is_accepted(url: str) -> None:
    """Arena's five addresses and a loopback address are accepted."""
    assert checked_base_url(url) == url


@pytest.mark.parametrize("url", addresses.REFUSED)
def test_base_url__is_refused(url: str) -> None:
    """FAULT 45: any other address is refused before any request."""
    with pytest.raises(SettingsError, match="ARENA_BASE_URL"):
        checked_base_url(url)


@thorough()
@given(st.text() | st.sampled_from(sorted(ARENA_HOSTS)).flatmap(lambda h: st.text().map(h.__add__)))
def test_base_url__property_accepts_no_address_outside_the_list(text: str) -> None:
    """Whatever surrounds a host, only the listed addresses are accepted."""
    for url in (text, f"https://{text}", f"https://{text}/v1", f"http://localhost:80{text}"):
        try:
            accepted = checked_base_url(url)
        except SettingsError:
            continue
        assert accepted.startswith(("https://api.", "http://localhost:80"))
        assert "@" not in accepted


urls = st.sampled_from(sorted(ARENA_HOSTS)).map("https://{}/v1".format) | st.builds(
    "http://{}:{}/{}".format,
    st.sampled_from(["localhost", "127.0.0.1"]),
    st.integers(0, 70_000),
    st.text("abAB09._-/", max_size=8),
)
near_urls = st.builds(
    lambda url, position, text: url[:position] + text + url[position:],
    urls,
    st.integers(0, 40),
    st.text(max_size=3) | st.sampled_from(["@", "@evil.example", "\\", "#", "?", "/..", "."]),
)
guids = st.text(max_size=30) | st.sampled_from(["../../..", "//evil.example", "@evil", "R1"])


@thorough()
@given(urls | near_urls, guids)
def test_base_url__property_sends_no_request_to_another_host(url: str, guid: str) -> None:
    """FAULT 45: this holds for any run that Arena names, below any accepted address."""
    try:
        base, run = checked_base_url(url), parse_run({"guid": guid})
    except (SettingsError, RequestNotCompletedError):
        return
    request = read_run(ExportGuid("EXPDEFAULT0000000001"), run.guid)
    prepared = Request(request.method, base + request.path).prepare().url
    sent_to = urlsplit(prepared)
    assert sent_to.hostname in ARENA_HOSTS | {"localhost", "127.0.0.1"}
    assert (sent_to.scheme == "https") == (sent_to.hostname in ARENA_HOSTS)
    assert sent_to.username is None
    assert sent_to.path.endswith(f"/exports/EXPDEFAULT0000000001/runs/{guid}")
