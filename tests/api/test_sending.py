"""Approving, stopping and resuming, and what anyone can see afterwards."""

from collections.abc import Callable
from uuid import UUID

from flask.testing import FlaskClient

from notifier.core.model import Actor, ActorKind
from notifier.core.status import AttemptEvent, PersonOutcome, Reason
from notifier.service import Service
from notifier.usecases.progress import Change, record
from tests.api.calling import Caller, ndjson, open_matter, person
from tests.installation import NOW, Office

Counts = Callable[[], dict[str, int]]


def happen(service: Service, office: Office, matter: str, attempt: str, *events: AttemptEvent) -> None:
    """Let things happen to an attempt, as the carrier's receipts would."""
    actor = Actor(ActorKind.CARRIER, "twilio_sms")
    changes = [
        Change(UUID(attempt), event, actor, reason=Reason.NUMBER_DEAD if event is AttemptEvent.REFUSED else None)
        for event in events
    ]
    with service.db.transaction(office.agency_id) as tx:
        record(tx, UUID(matter), changes, now=NOW)


def attempts_of(caller: Caller, person_id: str) -> dict[str, str]:
    notices = caller.get(f"/v1/people/{person_id}").get_json()["notices"]
    return {attempt["channel"]: attempt["attempt_id"] for attempt in notices[0]["attempts"]}


def test_a_second_officer_lets_the_notices_go_out(machine: Caller, approver: Caller) -> None:
    matter = open_matter(machine, people=[person(1), person(2), person(3, contacts=[])])
    answer = approver.post(f"/v1/matters/{matter}/approve")
    assert answer.status_code == 200
    approved = answer.get_json()
    assert (approved["persons"], approved["unreachable"]) == (3, 1)
    assert approved["attempts"] == {"sms": 2, "email": 2}
    again = approver.post(f"/v1/matters/{matter}/approve")
    assert (again.status_code, again.get_json()["code"]) == (422, "nothing-to-approve")


def test_a_machine_approves_nothing(machine: Caller, count_rows: Counts) -> None:
    matter = open_matter(machine, people=[person(1)])
    before = count_rows()
    answer = machine.post(f"/v1/matters/{matter}/approve")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "scope-missing")
    assert count_rows() == before


def test_whoever_entered_the_list_cannot_approve_it(
    client: FlaskClient, office: Office, machine: Caller, count_rows: Counts
) -> None:
    matter = open_matter(machine, people=[person(1)])
    before = count_rows()
    answer = Caller(client, office.uploader_personal_token).post(f"/v1/matters/{matter}/approve")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "second-officer-needed")
    assert count_rows() == before


def test_everybody_is_accounted_for(service: Service, office: Office, machine: Caller, approver: Caller) -> None:
    people = [person(number) for number in range(6)] + [person(6, contacts=[])]
    matter = open_matter(machine, people=people)
    approver.post(f"/v1/matters/{matter}/approve")
    ids = [each["person_id"] for each in machine.get(f"/v1/matters/{matter}/people").get_json()["people"]]
    arrived = attempts_of(machine, ids[0])["sms"]
    happen(service, office, matter, arrived, AttemptEvent.ACCEPTED, AttemptEvent.ARRIVED)
    happen(service, office, matter, attempts_of(machine, ids[0])["email"], AttemptEvent.REFUSED)
    for attempt in attempts_of(machine, ids[1]).values():
        happen(service, office, matter, attempt, AttemptEvent.REFUSED)
    for attempt in attempts_of(machine, ids[2]).values():
        happen(service, office, matter, attempt, AttemptEvent.CANCELLED)
    machine.send_list(matter, ndjson(2, first=10))
    read = machine.get(f"/v1/matters/{matter}").get_json()
    counts = {each["outcome"]: each["persons"] for each in read["outcomes"]}
    assert list(counts) == [outcome.value for outcome in PersonOutcome]
    assert {name: count for name, count in counts.items() if count} == {
        "delivered": 1,
        "not_reached": 1,
        "stopped": 1,
        "in_progress": 3,
        "unreachable": 1,
        "awaiting_approval": 2,
    }
    assert sum(counts.values()) == read["persons"] == 9
    assert read["next_at"] is not None
    listed = machine.get(f"/v1/matters/{matter}/people").get_json()["people"]
    assert sorted(each["outcome"] for each in listed) == sorted(
        name for name, count in counts.items() for _ in range(count)
    )


def test_a_timeline_tells_what_happened_and_what_it_proves(
    service: Service, office: Office, machine: Caller, approver: Caller
) -> None:
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    one = machine.get(f"/v1/matters/{matter}/people").get_json()["people"][0]["person_id"]
    attempts = attempts_of(machine, one)
    happen(service, office, matter, attempts["email"], AttemptEvent.REFUSED)
    happen(service, office, matter, attempts["sms"], AttemptEvent.ACCEPTED, AttemptEvent.ARRIVED)
    shown = machine.get(f"/v1/people/{one}").get_json()
    told = [(entry["what"], entry["actor"]["kind"]) for entry in shown["timeline"]]
    assert told[:2] == [("person.listed", "officer"), ("notice.ordered", "officer")]
    assert [what for what, _ in told[2:]][-2:] == ["attempt.accepted", "attempt.arrived"]
    last = shown["timeline"][-1]
    assert (last["channel"], last["status"], last["proof"]["level"]) == ("sms", "delivered", "P3")
    assert all(entry["meaning"] for entry in shown["timeline"])
    assert (shown["outcome"], shown["name"]) == ("delivered", "Test Person 1")


def test_a_notice_says_what_each_status_means(machine: Caller, approver: Caller) -> None:
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    one = machine.get(f"/v1/matters/{matter}/people").get_json()["people"][0]["person_id"]
    notice = machine.get(f"/v1/people/{one}").get_json()["notices"][0]["notice_id"]
    shown = machine.get(f"/v1/notices/{notice}").get_json()
    assert (shown["kind"], shown["recipient_role"], shown["person_id"]) == ("initial", "self", one)
    for attempt in shown["attempts"]:
        assert (attempt["status"], attempt["final"], attempt["proof"]["level"]) == ("planned", False, "P0")
        assert attempt["meaning"] == "Waiting for its turn. Nothing was sent yet."


def test_one_person_stops_and_two_resume(
    client: FlaskClient, office: Office, machine: Caller, approver: Caller
) -> None:
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    stopped = machine.post(f"/v1/matters/{matter}/stop", {"reason": "mistake_in_list"})
    assert stopped.status_code == 200
    in_force = machine.get(f"/v1/matters/{matter}").get_json()["stops"]
    assert [(stop["scope"], stop["reason"]) for stop in in_force] == [("matter", "mistake_in_list")]
    first = Caller(client, office.uploader_personal_token).post(f"/v1/matters/{matter}/resume")
    assert first.get_json()["state"] == "awaiting_second_officer"
    alone = Caller(client, office.uploader_personal_token).post(f"/v1/matters/{matter}/resume")
    assert (alone.status_code, alone.get_json()["code"]) == (403, "second-officer-needed")
    second = approver.post(f"/v1/matters/{matter}/resume")
    assert second.get_json()["state"] == "running"
    assert machine.get(f"/v1/matters/{matter}").get_json()["stops"] == []


def test_one_channel_or_carrier_can_be_stopped(machine: Caller) -> None:
    matter = open_matter(machine)
    assert machine.post(f"/v1/matters/{matter}/stop", {"channel": "sms"}).get_json()["channel"] == "sms"
    assert machine.post(f"/v1/matters/{matter}/stop", {"carrier": "sendgrid_email"}).get_json()["channel"] == "email"
    wrong = machine.post(f"/v1/matters/{matter}/stop", {"carrier": "pigeon"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (422, "unknown-carrier")
    odd = machine.post(f"/v1/matters/{matter}/stop", {"channel": "smoke"})
    assert odd.get_json()["errors"][0] == {
        "pointer": "/channel",
        "code": "not_one_of",
        "detail": "must be one of 'sms', 'email' or 'letter'",
    }


def test_nothing_stopped_cannot_be_resumed(approver: Caller, machine: Caller) -> None:
    matter = open_matter(machine)
    answer = approver.post(f"/v1/matters/{matter}/resume")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "not-stopped")


def test_pages_of_people_hold_everybody_once(machine: Caller) -> None:
    matter = open_matter(machine)
    machine.send_list(matter, ndjson(23))
    found, cursor = [], ""
    while True:
        page = machine.get(f"/v1/matters/{matter}/people?limit=10{cursor}").get_json()
        found += [each["external_id"] for each in page["people"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == [f"P-{number}" for number in range(23)]


def test_pages_of_matters_hold_every_matter_once(machine: Caller) -> None:
    opened = {open_matter(machine) for _ in range(5)}
    found, cursor = [], ""
    while True:
        page = machine.get(f"/v1/matters?limit=2{cursor}").get_json()
        found += [each["matter_id"] for each in page["matters"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(found) == 5
    assert set(found) == opened


def test_an_answer_that_did_not_change_is_not_sent_again(machine: Caller) -> None:
    matter = open_matter(machine)
    first = machine.get(f"/v1/matters/{matter}")
    again = machine.get(f"/v1/matters/{matter}", **{"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    machine.send_list(matter, ndjson(1))
    assert machine.get(f"/v1/matters/{matter}", **{"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_the_doorbell_rings_when_there_is_work(service: Service, machine: Caller, approver: Caller) -> None:
    matter = open_matter(machine, people=[person(1)])
    service.redis.flushdb()
    approver.post(f"/v1/matters/{matter}/approve")
    rung = {str(name) for name in service.redis.keys("notifier:rung:*")}
    assert rung == {"b'notifier:rung:sms'", "b'notifier:rung:email'", "b'notifier:rung:letter'"}
