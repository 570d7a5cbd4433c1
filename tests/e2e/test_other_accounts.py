"""Senders and subscribers in other accounts, and a filter, as the README shows them."""

import json
import re
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from infra.local.aws import Clients
from infra.local.demo.tally import COMPLETED
from infra.local.paths import ROOT
from infra.local.subscriber import Subscriber
from tests.e2e.conftest import PARTNER, Case

pytestmark = pytest.mark.e2e
NewGuids = Callable[[int], list[str]]

STRANGER = "444455556666"


def test_sender__in_a_named_account_is_accepted(case: Case, new_guids: NewGuids) -> None:
    """A named account may send to the intake queue; another account may not."""
    (item_guid,) = new_guids(1)
    queue_url = case.stack.outputs["IntakeQueueUrl"]
    with pytest.raises(ClientError, match="AccessDenied"):
        _clients(case, STRANGER).sqs.send_message(QueueUrl=queue_url, MessageBody=item_guid)
    _clients(case, PARTNER).sqs.send_message(QueueUrl=queue_url, MessageBody=item_guid)
    (event,) = case.wait_for_events(1)
    assert event.data["itemGuids"] == [item_guid]


def test_subscriber__in_a_named_account_receives_what_it_filters_for(
    case: Case, new_guids: NewGuids
) -> None:
    """With the README's attributes, a subscriber receives completed runs and no rejections."""
    with pytest.raises(ClientError, match="AuthorizationError"):
        _subscribe(case, STRANGER)
    partner = _subscribe(case, PARTNER)
    case.stack.send("not-a-guid", *new_guids(1))
    (completed,) = (event for event in case.wait_for_events(2) if event.type == COMPLETED)
    case.stack.wait_until("the partner's event", partner.receive)
    assert [received.event for received in partner.events] == [completed.event]


def _clients(case: Case, account: str) -> Clients:
    return Clients(case.stack.endpoint, account)


def _subscribe(case: Case, account: str) -> Subscriber:
    """Subscribe a queue of the account, as the README says."""
    shown = re.search(r"'({\"RawMessageDelivery\": .*})'", (ROOT / "README.md").read_text())
    assert shown
    topic_arn, attributes = case.stack.outputs["OutcomeTopicArn"], json.loads(shown[1])
    return Subscriber.subscribe(_clients(case, account), topic_arn, "partner", attributes)
