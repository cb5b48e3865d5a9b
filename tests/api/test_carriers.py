"""How the carriers are doing is shown without anybody's data."""

import pytest
from sqlalchemy import text

from notifier.core.breaker import Permit, Rules
from notifier.service import Service
from notifier.usecases.breaker import Breaker
from tests.api.calling import Caller, open_matter, person
from tests.installation import Office


def test_each_carrier_shows_what_keeps_it_back_and_what_waits(
    service: Service, office: Office, machine: Caller, approver: Caller
) -> None:
    service.redis.flushdb()
    matter = open_matter(machine, people=[person(1), person(2)])
    approver.post(f"/v1/matters/{matter}/approve")
    with service.db.transaction(office.agency_id) as tx:
        tx.conn.execute(text("update attempt set due_at = now() - interval '1 minute' where channel = 'sms'"))
        tx.conn.execute(text("update attempt set status = 'unknown' where channel = 'email'"))
    stop = machine.post("/v1/stops", {"carrier": "twilio_sms"}).get_json()["stop_id"]
    shown = {each["carrier"]: each for each in machine.get("/v1/carriers").get_json()["carriers"]}
    assert set(shown) == {"mailroom_letter", "sendgrid_email", "twilio_sms"}
    sms, email, letter = shown["twilio_sms"], shown["sendgrid_email"], shown["mailroom_letter"]
    assert (sms["stops"], sms["due"], sms["unknown"], sms["channel"]) == ([stop], 2, 0, "sms")
    assert sms["oldest_due_at"] is not None
    assert (email["stops"], email["due"], email["unknown"], email["last_heard_at"]) == ([], 0, 2, None)
    assert sms["breaker"]["state"] == "not_known"
    assert (letter["breaker"]["state"], letter["in_use"]) == ("closed", True)


def test_a_breaker_that_is_open_is_shown(service: Service, machine: Caller) -> None:
    rules = Rules(failures=3, rest=60, cap=600, probe=30)
    Breaker(service.redis, carrier="twilio_sms", rules=rules).tell(Permit.ALL, worked=False, failed=3)
    try:
        (sms,) = [each for each in machine.get("/v1/carriers").get_json()["carriers"] if each["channel"] == "sms"]
    finally:
        service.redis.flushdb()
    assert sms["breaker"]["state"] == "open"
    assert sms["breaker"]["failures"] == 3
    assert sms["breaker"]["until"] > sms["breaker"]["since"]


def test_the_counts_are_those_of_the_keys_agency(machine: Caller) -> None:
    assert [each["due"] for each in machine.get("/v1/carriers").get_json()["carriers"]] == [0, 0, 0]


@pytest.mark.parametrize("path", ["/v1/carriers", "/v1/stops"])
def test_they_are_shown_to_whoever_may_read_matters(machine: Caller, path: str) -> None:
    assert machine.get(path).status_code == 200
