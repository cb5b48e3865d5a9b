"""A channel or a carrier is stopped in the whole agency by one person, and goes on by two."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from notifier.core.model import KeyKind
from tests.api.calling import Caller, open_matter, person
from tests.installation import Office


@pytest.fixture
def owner(client: FlaskClient, office: Office) -> Caller:
    """Whoever owns the machine key, with a key of their own."""
    return Caller(client, office.uploader_personal_token)


def test_a_machine_stops_a_channel_and_two_officers_let_it_go_on(
    machine: Caller, owner: Caller, approver: Caller
) -> None:
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    placed = machine.post("/v1/stops", {"channel": "sms", "reason": "safety"})
    assert (placed.status_code, placed.get_json()["matter_id"]) == (200, None)
    (stop,) = machine.get("/v1/stops").get_json()["stops"]
    assert (stop["stop_id"], stop["channel"], stop["reason"]) == (placed.get_json()["stop_id"], "sms", "safety")
    assert [each["stop_id"] for each in machine.get(f"/v1/matters/{matter}").get_json()["stops"]] == [stop["stop_id"]]
    assert owner.post("/v1/stops/resume").get_json()["state"] == "awaiting_second_officer"
    again = owner.post("/v1/stops/resume")
    assert (again.status_code, again.get_json()["code"]) == (403, "second-officer-needed")
    assert approver.post("/v1/stops/resume").get_json() == {"state": "running", "stops": [stop["stop_id"]]}
    assert machine.get("/v1/stops").get_json()["stops"] == []
    nothing = approver.post("/v1/stops/resume")
    assert (nothing.status_code, nothing.get_json()["code"]) == (409, "not-stopped")


def test_one_of_two_stops_can_go_on(machine: Caller, owner: Caller, approver: Caller) -> None:
    one, other = (
        machine.post("/v1/stops", body).get_json()["stop_id"]
        for body in ({"carrier": "twilio_sms"}, {"channel": "letter"})
    )
    for caller in (owner, approver):
        answer = caller.post("/v1/stops/resume", {"stops": [one]})
    assert answer.get_json() == {"state": "running", "stops": [one]}
    assert [each["stop_id"] for each in machine.get("/v1/stops").get_json()["stops"]] == [other]
    unknown = approver.post("/v1/stops/resume", {"stops": [str(uuid4())]})
    assert (unknown.status_code, unknown.get_json()["code"]) == (404, "unknown-stop")


def test_a_stop_names_a_channel_or_a_carrier(machine: Caller) -> None:
    for body, code in (({}, "stop-of-nothing"), ({"carrier": "pigeon"}, "unknown-carrier")):
        answer = machine.post("/v1/stops", body or {"reason": "other"})
        assert (answer.status_code, answer.get_json()["code"]) == (422, code)


def test_a_test_key_sets_no_live_matter_going(
    client: FlaskClient, office: Office, machine: Caller, owner: Caller
) -> None:
    live = Caller(client, office.live_token(office.uploader, KeyKind.MACHINE))
    machine.post("/v1/stops", {"channel": "sms"})
    open_matter(live)
    answer = owner.post("/v1/stops/resume")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "mode-mismatch")
    assert live.post("/v1/stops/resume").get_json()["state"] == "awaiting_second_officer"
