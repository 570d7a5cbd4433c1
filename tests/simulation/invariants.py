"""What must hold after each simulated day, whatever happened: rules R1 to R12."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arena_exports.domain.errors import InvalidMessageError
from arena_exports.domain.messages import IntakeRules, parse_message
from arena_exports.domain.model import AttemptId, Kind
from arena_exports.ledger import open_ledger
from infra.simulator import names
from tests.simulation.delivery import DELIVERED
from tests.simulation.delivery_invariants import delivery_violations
from tests.simulation.fault_rates import CHANCES
from tests.simulation.field import BAD_ITEM, BROKEN, UNKNOWN
from tests.simulation.unknown_posts import early_posts
from tests.support.world import EXPORT, item_guid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infra.simulator.runs import Run
    from tests.simulation.simulation import Simulation

RULES = IntakeRules("default", EXPORT)
HEALTHY = item_guid(10_000)
HARMLESS = ("LedgerUnavailableError", "MessagingError", "ConnectionError", "RetryLaterError")
MAX_LOGINS_AN_HOUR = 7
REFUSED = 4081
OPEN_STATES = ("sending", "running", "ended")
DAY_SECONDS = 86_400
MAX_REQUESTS_FOR_NOTHING = 600  # a day
MAX_TRIALS_A_DAY = 200
SECONDS_BETWEEN_TRIALS = 60
CODES_BEFORE_ANY_WORK = frozenset({401, 4084})
# A POST reaches Arena some time after the decision, at most submit's time-out later.
LATEST_POST_SECONDS = 120
TRIAL_WINDOWS = (600, 3600)
# The longest back-off (an hour), the run in progress, and the attempts that alternate with it.
MAX_SECONDS_OF_THE_HEALTHY = 3 * 3600
# Some 16 attempts of eight minutes each, alternating with ordinary runs.
MAX_SECONDS_BESIDE_A_BAD_ITEM = 8 * 3600
# Where hours of other requests wait: the time in which none of them is exported.
MAX_IDLE_SECONDS = 4 * 3600
LAGS = frozenset({"lagging reads", "runs not found"})
SMALL_RUN_ITEMS, MANY_ITEMS, SLOW_RUN_SECONDS = 7, 50, 120
# After any other fault, something may be published again because nothing shows that it was.
DOUBLING = frozenset(CHANCES) - {
    "arena_drop",
    "arena_garbage",
    "arena_late",
    "download",
    "bucket_refused",
    "bucket_conflict",
    "bucket_lost",
    "deliver_lost",
    "deliver_twice",
    "lambda_throttle",
    "secrets_down",
    "start_execution",
}


def violations(simulation: Simulation) -> list[str]:
    """Return what was violated; empty if all is well."""
    found: list[str] = []
    for check in (
        _drained,
        _every_item_accounted_for,
        _nothing_lettered_twice_without_cause,
        _published_once_in_effect,
        _one_run_at_a_time,
        _runs_are_our_own,
        early_posts,
        _nobody_rejected_without_cause,
        _no_attempt_left_open,
        _logins_bounded,
        _no_needless_login,
        _budget_kept,
        _no_secret,
        _no_unexpected_crash,
        _requests_for_nothing_bounded,
        _trials_bounded,
        _everything_else_goes_on,
        _files_as_listed,
        _no_event_of_an_event,
    ):
        found += [f"{check.__name__.strip('_')}: {text}" for text in check(simulation)]
    return found + delivery_violations(simulation)


def _events(simulation: Simulation) -> list[tuple[float, dict[str, Any]]]:
    return [(at, json.loads(event.body)) for at, event in simulation.topic.kept]


def _distinct(simulation: Simulation, suffix: str) -> list[dict[str, Any]]:
    """Return the events of a type, each source and id once, as a subscriber would."""
    known = {
        (e["source"], e["id"]): e for _, e in _events(simulation) if e["type"].endswith(suffix)
    }
    return list(known.values())


def _drained(simulation: Simulation) -> Iterator[str]:
    """R11: when the faults stop, everything drains by itself."""
    if not simulation.is_drained():
        pending = simulation.pending()[:3]
        lease = simulation.memory.items.get("SLOT", {}).get("-")
        yield f"pending {pending}, lease {lease}, executions {list(simulation.running_executions)}"


@dataclass
class Account:
    """What became of each request, counted from the events as a subscriber would."""

    exported: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    concluded: set[str] = field(default_factory=set)
    lettered: set[str] = field(default_factory=set)

    def problem(self, request_id: str, items: int) -> str:
        """Return what is wrong with a request of so many items; "" if all is well."""
        refused = len(self.rejected[request_id])
        if refused + self.given_up[request_id] and request_id not in self.lettered:
            return "was rejected without a dead-letter entry"
        if not items:
            return "" if request_id in self.concluded else "was lost"
        counts = self.exported[request_id], refused, self.given_up[request_id]
        if sum(counts) == items:
            return ""
        return "of {} items: {} exported, {} rejected, {} given up".format(items, *counts)


def _account(simulation: Simulation) -> Account:
    account = Account(lettered={letter.request_id for _, letter in simulation.dead_letters.kept})
    for suffix, count in (("completed", account.exported), ("run.failed", account.given_up)):
        for event in _distinct(simulation, suffix):
            for request in event["data"]["requests"]:
                count[request["requestId"]] += request["itemCount"]
                account.concluded.add(request["requestId"])
    for event in _distinct(simulation, "rejected"):
        account.rejected[event["data"]["requestId"]] |= set(event["data"]["itemGuids"])
        account.concluded.add(event["data"]["requestId"])
    return account


def _every_item_accounted_for(simulation: Simulation) -> Iterator[str]:
    """R1: each item of each message was exported by a later run, or rejected; none was lost."""
    account = _account(simulation)
    for message in simulation.messages:
        if message.redriven or message.message_id in simulation.field.echoes:
            continue
        try:
            request = parse_message(message.message_id, message.body, RULES)
        except InvalidMessageError:
            request = None
        else:
            if request is None:
                continue  # a reconcile asks for nothing
        if request and request.group.export_guid == simulation.field.stays_pending:
            if message.message_id in account.concluded:
                yield f"{message.message_id} has an outcome, though its definition never works"
            continue
        problem = account.problem(message.message_id, len(request.item_guids) if request else 0)
        if problem:
            yield f"{message.message_id} {problem}"


def _nothing_lettered_twice_without_cause(simulation: Simulation) -> Iterator[str]:
    """A dead letter is sent twice only after a crash, a redelivery, or a write that failed."""
    if simulation.fault_rates.occurred & DOUBLING or simulation.plan.stops_executions:
        return
    said = Counter(
        (letter.request_id, item)
        for _, letter in simulation.dead_letters.kept
        for item in json.loads(letter.body).get("itemGuids", ())
        if letter.error_code != "InvalidMessage"
    )
    for (request_id, item), times in said.items():
        if times > 1 + simulation.memory.conflicted:
            yield f"{item} of {request_id} has {times} dead-letter entries"


def _published_once_in_effect(simulation: Simulation) -> Iterator[str]:
    """R4: copies of an event are the same, and a run starts after its requests were recorded."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for _, event in _events(simulation):
        if event["type"] in DELIVERED:
            continue  # see `DeliveryDay.check_event`
        key = event["source"], event["id"]
        same = known.setdefault(key, event)
        if same["data"] != event["data"] and event["type"] != "arena.export.request.rejected":
            yield f"{key} was published with different contents"
    recorded = {
        pk.removeprefix("MSG#"): items["-"]["recordedAt"]
        for pk, items in simulation.memory.items.items()
        if pk.startswith("MSG#")
    }
    skew = simulation.plan.skew
    created = {run.guid: run.created_at for run in simulation.arena.exports.runs}
    for event in _distinct(simulation, "run.completed"):
        for request in event["data"]["requests"]:
            if created[event["data"]["runGuid"]] < recorded[request["requestId"]] - skew:
                yield f"{request['requestId']} was exported by a run from before it was recorded"
    finished = {
        run.guid
        for run in _our_runs(simulation)
        if run.status(simulation.scheduler.now) in ("COMPLETE", "DOWNLOADED")
    }
    published = {event["data"]["runGuid"] for event in _distinct(simulation, "run.completed")}
    for guid in sorted(finished - published):
        yield f"run {guid} ended and was never published"


def _our_runs(simulation: Simulation) -> list[Run]:
    """Return the runs that our POSTs started, the oldest first."""
    by_hand = simulation.disruptions.runs_by_hand
    runs = [
        run
        for run in simulation.arena.exports.runs
        if run.creator.email == names.MACHINE_EMAIL and run.guid not in by_hand
    ]
    return sorted(runs, key=lambda run: run.created_at)


def _one_run_at_a_time(simulation: Simulation) -> Iterator[str]:
    """R2, R3: two of our runs never overlap, and no 3144 is caused by a run of ours."""
    runs = _our_runs(simulation)
    ends = {
        run.guid: run.ended_at(simulation.scheduler.now) or simulation.scheduler.now for run in runs
    }
    for record in simulation.arena.request_log.records:
        if record.code != 3144:
            continue
        holders = [run for run in runs if run.created_at <= record.at < ends[run.guid]]
        if holders:
            yield f"a 3144 at {record.at:.0f} was caused by our own run {holders[0].guid}"


def _runs_are_our_own(simulation: Simulation) -> Iterator[str]:
    """R3: the run of an attempt was started with our account, and has the attempt's items."""
    runs = {run.guid: run for run in simulation.arena.exports.runs}
    ledger = open_ledger(simulation.memory, simulation.clock)
    for pk, items in simulation.memory.items.items():
        for name in items if pk.startswith("RUN#") else ():
            run = runs.get(items[name].get("runGuid") or "")
            if run is None:
                continue
            attempt = ledger.attempts.get(AttemptId(name))
            if run.creator.email != names.MACHINE_EMAIL:
                yield f"attempt {name} has the run {run.guid} of {run.creator.email}"
            wanted = set(ledger.selection(attempt).item_guids)
            if attempt.group.kind is Kind.ITEMS and set(run.item_guids) != wanted:
                yield f"attempt {name} has the run {run.guid}, which has other items"


def _no_attempt_left_open(simulation: Simulation) -> Iterator[str]:
    """R2: what the lease does not name is over: settled, void or replaced."""
    named = simulation.memory.items.get("SLOT", {}).get("-", {}).get("attemptId")
    for pk, items in simulation.memory.items.items():
        for name, item in items.items() if pk.startswith("RUN#") else ():
            if item.get("state") in OPEN_STATES and name != named:
                yield f"attempt {name} is {item['state']}, and the lease does not name it"


def _nobody_rejected_without_cause(simulation: Simulation) -> Iterator[str]:
    """R8: RunFailed rejects only items that make runs fail; 3011 only items that Arena named."""
    poison = simulation.plan.poison | {BAD_ITEM}
    unknown = {*UNKNOWN, *simulation.plan.late}
    for event in _distinct(simulation, "rejected"):
        code, items = event["data"]["error"]["code"], set(event["data"]["itemGuids"])
        if event["data"]["exportGuid"] in unknown and code in ("3011", "3012"):
            continue
        if code == "RunFailed" and not items <= poison and not simulation.plan.breaks_runs:
            yield f"{items - poison} rejected for failing"
        if code == "3011" and not items <= simulation.plan.bad:
            yield f"{items - simulation.plan.bad} rejected as bad"
        if code not in ("RunFailed", "3011", "InvalidMessage"):
            yield f"rejected with {code}"


def _logins_bounded(simulation: Simulation) -> Iterator[str]:
    """R5: refused credentials are not tried again, and other logins respect the cool-down."""
    logins = [
        record for record in simulation.arena.request_log.records if record.purpose == "login"
    ]
    accepted = [login.at for login in logins if login.code != REFUSED]
    if simulation.tried_again:
        yield f"{len(simulation.tried_again)} logins with credentials known to be refused"
    for at in accepted:
        within = sum(1 for other in accepted if at <= other < at + 3600)
        if within > MAX_LOGINS_AN_HOUR:
            yield f"{within} logins within an hour"
            return


def _no_needless_login(simulation: Simulation) -> Iterator[str]:
    """R5: nobody logs in while the session that the secret holds is alive.

    An answer that is garbled, or a login page, looks like a session that died.
    """
    garbled = simulation.fault_rates.occurred & {"arena_garbage", "download"}
    if garbled or simulation.delivery.plan.bad or simulation.field.troubles:
        return
    if simulation.needless_logins:
        yield f"{len(simulation.needless_logins)} logins ended a session that was in force"


def _budget_kept(simulation: Simulation) -> Iterator[str]:
    """R6: after a 429 no request is sent until the reset, except a few already on their way."""
    spent = [record.at for record in simulation.arena.request_log.records if record.code == 4084]
    if len(spent) > 4:
        yield f"{len(spent)} requests met a spent budget"


def _no_secret(simulation: Simulation) -> Iterator[str]:
    """R9: no password or session id is in the ledger, events, dead letters or log lines."""
    shown = repr(simulation.memory.items) + repr(simulation.topic.kept)
    shown += repr(simulation.dead_letters.kept) + repr(simulation.telemetry.lines)
    shown += repr([str(crash) for crash in simulation.crashes])
    canaries = {
        str(value.get("arenaSessionId")) for value in simulation.session_secret.versions.values()
    }
    for canary in canaries | {names.PASSWORD}:
        if canary in shown:
            yield "a secret is shown"


def _no_unexpected_crash(simulation: Simulation) -> Iterator[str]:
    """Functions crash only from injected faults."""
    for crash in simulation.crashes:
        if type(crash).__name__ not in HARMLESS:
            yield repr(crash)


def _most_within(times: Sequence[float], seconds: float) -> int:
    """Return the largest number of these sorted times within a window of so many seconds."""
    return max((bisect_left(times, at + seconds) - n for n, at in enumerate(times)), default=0)


def _requests_for_nothing_bounded(simulation: Simulation) -> Iterator[str]:
    """Row 86: a definition that never works costs a bounded number of requests."""
    if simulation.field.stays_pending is None:
        return
    spent = [r.at for r in simulation.arena.request_log.records if f"/{BROKEN}/" in r.path]
    most = _most_within(spent, DAY_SECONDS)
    if most >= MAX_REQUESTS_FOR_NOTHING:
        yield f"{most} requests within a day for a definition that never works"


def _trials_bounded(simulation: Simulation) -> Iterator[str]:
    """Row 83: definitions without a successful run share one POST a minute and 200 a day."""
    now = simulation.scheduler.now
    proven = {run.export_guid for run in simulation.arena.exports.runs if run.is_ready(now)}
    trials = [
        record.at
        for record in simulation.arena.request_log.records
        if record.purpose == "submit"
        and record.code not in CODES_BEFORE_ANY_WORK
        and record.path.split("/")[3] not in proven
    ]
    for seconds in TRIAL_WINDOWS:
        allowed = (seconds + LATEST_POST_SECONDS) // SECONDS_BETWEEN_TRIALS + 2
        most = _most_within(trials, seconds)
        if most > allowed:
            yield f"{most} POSTs in {seconds} s for definitions that never worked"
    most = _most_within(trials, DAY_SECONDS)
    if most > MAX_TRIALS_A_DAY:
        yield f"{most} POSTs in a day for definitions that never worked"


def _everything_else_goes_on(simulation: Simulation) -> Iterator[str]:
    """Rows 83, 86: what is sent after the fault phase is exported soon, whatever stays broken.

    Where hours of other requests wait, only the time counts in which none of them was exported.
    """
    if not simulation.field.troubles:
        return
    latest: dict[str, float] = {}
    for at, event in _events(simulation):
        if event["type"].endswith("run.completed"):
            latest |= {request["requestId"]: at for request in event["data"]["requests"]}
    busy = _spans_of_runs(simulation) if _has_a_backlog(simulation) else []
    for message in simulation.messages:
        healthy = message.body == HEALTHY and message.sent_at >= simulation.fault_phase_ended_at
        if message.redriven or not (healthy or BAD_ITEM in message.body):
            continue
        since = max(message.sent_at, simulation.fault_phase_ended_at)
        until = latest.get(message.message_id, simulation.scheduler.now)
        took = until - since - sum(max(0, min(end, until) - max(at, since)) for at, end in busy)
        most = MAX_SECONDS_OF_THE_HEALTHY if healthy else MAX_SECONDS_BESIDE_A_BAD_ITEM
        if took > (MAX_IDLE_SECONDS if busy else most):
            yield f"{message.message_id} took {took:.0f} s, with {simulation.field.troubles}"


def _has_a_backlog(simulation: Simulation) -> bool:
    """Return whether requests wait for the day's budget, or behind hours of other requests."""
    plan, troubles = simulation.plan, simulation.field.troubles
    slow = plan.arena.get("runningSeconds", 0) >= SLOW_RUN_SECONDS
    small = plan.max_items < MANY_ITEMS or "firewall" in troubles
    # A run that cannot be read for minutes takes minutes, however few its items are.
    lags = not LAGS.isdisjoint(troubles)
    return plan.scarce or plan.max_items < SMALL_RUN_ITEMS or lags or (small and slow)


def _spans_of_runs(simulation: Simulation) -> list[tuple[float, float]]:
    """Return when each of our runs began and when its end was published; they do not overlap."""
    published: dict[str, float] = {}
    for at, event in _events(simulation):
        published.setdefault(event["data"].get("runGuid", ""), at)
    spans: list[tuple[float, float]] = []
    for run in _our_runs(simulation):
        end = published.get(run.guid) or run.ended_at(simulation.scheduler.now)
        began = max(run.created_at, spans[-1][1] if spans else 0)
        spans.append((began, max(began, end or simulation.scheduler.now)))
    return spans


def _files_as_listed(simulation: Simulation) -> Iterator[str]:
    """Row 7: each readable file is published once, and no file is published without a GUID."""
    runs = {run.guid: run for run in simulation.arena.exports.runs}
    for event in _distinct(simulation, "run.completed"):
        run = runs[event["data"]["runGuid"]]
        listed = dict.fromkeys(guid for guid in run.listed_files(simulation.scheduler.now) if guid)
        if sorted(event["data"]["fileGuids"]) != sorted(listed):
            yield f"run {run.guid} was published with {event['data']['fileGuids']}, not {[*listed]}"


def _no_event_of_an_event(simulation: Simulation) -> Iterator[str]:
    """Row 91: one of our events that comes back on the intake queue leads to no other event."""
    for event in _distinct(simulation, "rejected"):
        if event["data"]["requestId"] in simulation.field.echoes:
            yield f"{event['id']} is about one of our own events"
