"""The models of lease and delivery, and the steps of simulated days compared with theirs."""

from __future__ import annotations

import pytest
from minicheck import check_liveness

from tests.simulation.coverage import EXPLAINED, FAULTS, STATES
from tests.simulation.models import delivery, lease
from tests.simulation.models.replay import VIEWS
from tests.simulation.planted import planted
from tests.simulation.proofs import ALL_BUGS, check, watch_day

DAYS = 6
MIN_KINDS = {"the lease": 11, "delivery": 5}
FEW_STATES = 10_000  # enough to show that something is wrong


def test_model_of_the_lease__keeps_the_rules_and_drains() -> None:
    """R2, R3 and R4 hold in every state of the model, and each can still come to rest."""
    states, broken = check(lease.lease_model())
    assert broken == []
    assert states > 500
    assert check_liveness(lease.lease_model())["holds"]


@pytest.mark.parametrize("assumption", lease.Assumption)
def test_model_of_the_lease__needs_each_assumption(assumption: lease.Assumption) -> None:
    """Without an assumption about time, a rule is broken: the assumption is needed."""
    variant = lease.Variant(lease.ALL_ASSUMPTIONS - {assumption})
    assert check(lease.lease_model(variant), FEW_STATES)[1] != []


@pytest.mark.parametrize("bug", lease.BUGS)
def test_model_of_the_lease__shows_what_a_bug_breaks(bug: str) -> None:
    """The model's properties notice a wrong protocol."""
    assert check(lease.lease_model(lease.Variant(bug=bug)), FEW_STATES)[1] != []


def test_model_of_delivery__keeps_the_rules_and_drains() -> None:
    """R12 holds in every state of the model, and each can still come to rest."""
    states, broken = check(delivery.delivery_model())
    assert broken == []
    assert states > 1000
    assert check_liveness(delivery.delivery_model())["holds"]


@pytest.mark.parametrize("bug", delivery.BUGS)
def test_model_of_delivery__shows_what_a_bug_breaks(bug: str) -> None:
    """The model's properties notice a wrong protocol."""
    assert check(delivery.delivery_model(delivery.Variant(bug)), FEW_STATES)[1] != []


def test_model_of_delivery__keeps_the_rules_beside_another_bucket() -> None:
    """R12 holds for one bucket, too, where copies deliver the same run to another one."""
    variant = delivery.Variant(another_bucket=True)
    assert check(delivery.delivery_model(variant))[1] == []


def test_days__take_only_steps_of_the_models() -> None:
    """Each change of lease, attempt, delivery and file on simulated days is a step of a model."""
    days = [watch_day(seed) for seed in range(DAYS)]
    for name, view in VIEWS.items():
        taken = {step for day in days for step in day.steps[name]}
        assert taken - view().steps().keys() == set()
        assert len(taken) >= MIN_KINDS[name]


@pytest.mark.parametrize(
    ("name", "bug"), [("the lease", "POST without a search"), ("delivery", "file noted first")]
)
def test_days__take_other_steps_with_a_bug(name: str, bug: str) -> None:
    """A planted bug shows as a step that the model does not know."""
    known = VIEWS[name]().steps().keys()
    with planted(next(one for one in ALL_BUGS if one.name == bug)):
        days = map(watch_day, range(DAYS))
        assert any(day.steps[name].keys() - known for day in days)


def test_explanations__are_about_faults_and_states_that_exist() -> None:
    """Each pair that is said to be out of reach names a fault and a state."""
    named = [
        (fault, state) for pairs in EXPLAINED.values() for fault in pairs for state in pairs[fault]
    ]
    assert [pair for pair in named if pair[0] not in FAULTS or pair[1] not in STATES] == []
