"""Reporting a contact point, seeing what was learned of it, and taking it back."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from notifier.core.flags import FLAG_MEANING
from notifier.core.model import ContactFlag, KeyKind, Mode, Role
from notifier.service import Service
from notifier.usecases.access import add_officer, create_key
from tests.api.calling import Caller, open_matter, person
from tests.installation import NOW, Office


@pytest.fixture
def told(machine: Caller, approver: Caller) -> tuple[str, str, str]:
    """A matter, a person and that person's phone, approved."""
    matter = open_matter(machine, people=[person(1)])
    approver.post(f"/v1/matters/{matter}/approve")
    (line,) = machine.get(f"/v1/matters/{matter}/people").get_json()["people"]
    (phone,) = [contact for contact in line["contacts"] if contact["kind"] == "phone"]
    return matter, line["person_id"], phone["contact_id"]


def flags_page(told: tuple[str, str, str]) -> str:
    return f"/v1/people/{told[1]}/contacts/{told[2]}/flags"


def test_a_wrong_number_gets_nothing_more_and_says_so(machine: Caller, told: tuple[str, str, str]) -> None:
    answer = machine.post(flags_page(told), {"flag": "wrong_person"})
    assert answer.status_code == 200
    (flag,) = answer.get_json()["flags"]
    assert (flag["flag"], flag["meaning"]) == ("wrong_person", FLAG_MEANING[ContactFlag.WRONG_PERSON])
    read = machine.get(f"/v1/people/{told[1]}").get_json()
    shown = {contact["kind"]: [each["flag"] for each in contact["flags"]] for contact in read["contacts"]}
    assert shown == {"phone": ["wrong_person"], "email": []}
    standing = {
        attempt["channel"]: (attempt["status"], attempt["reason"]) for attempt in read["notices"][0]["attempts"]
    }
    assert standing == {"sms": ("failed", "wrong_person"), "email": ("planned", None)}
    (entry,) = [entry for entry in read["timeline"] if entry["what"] == "contact.flagged"]
    assert (entry["flag"], entry["contact_id"]) == ("wrong_person", told[2])
    assert entry["meaning"] == FLAG_MEANING[ContactFlag.WRONG_PERSON]
    assert entry["actor"]["kind"] == "officer"
    assert machine.get(f"/v1/matters/{told[0]}").get_json()["flags"] == {"wrong_person": 1}


def test_an_officer_takes_it_back(machine: Caller, approver: Caller, told: tuple[str, str, str]) -> None:
    machine.post(flags_page(told), {"flag": "dead"})
    refused = machine.post(f"{flags_page(told)}/lift", {"flag": "dead"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "personal-key-needed")
    answer = approver.post(f"{flags_page(told)}/lift", {"flag": "dead"})
    assert (answer.status_code, answer.get_json()["flags"]) == (200, [])
    assert machine.get(f"/v1/matters/{told[0]}").get_json()["flags"] == {}
    assert approver.post(f"{flags_page(told)}/lift", {"flag": "dead"}).status_code == 200


def test_a_viewer_takes_nothing_back(
    client: FlaskClient, service: Service, office: Office, machine: Caller, told: tuple[str, str, str]
) -> None:
    with service.db.transaction(office.agency_id) as tx:
        viewer = add_officer(tx, name="Viewing Officer", roles=[Role.VIEWER], now=NOW)
        key = create_key(tx, officer_id=viewer, kind=KeyKind.PERSONAL, mode=Mode.TEST, vault=service.vault, now=NOW)
    machine.post(flags_page(told), {"flag": "dead"})
    answer = Caller(client, key.token).post(f"{flags_page(told)}/lift", {"flag": "dead"})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "role-missing")


def test_the_posts_word_is_not_reported_here(machine: Caller, told: tuple[str, str, str]) -> None:
    for flag in ("returned", "moved"):
        answer = machine.post(flags_page(told), {"flag": flag})
        assert (answer.status_code, answer.get_json()["code"]) == (422, "flag-not-for-this-contact")


def test_a_mailbox_is_no_landline(machine: Caller, told: tuple[str, str, str]) -> None:
    contacts = machine.get(f"/v1/people/{told[1]}").get_json()["contacts"]
    (mailbox,) = [contact["contact_id"] for contact in contacts if contact["kind"] == "email"]
    answer = machine.post(f"/v1/people/{told[1]}/contacts/{mailbox}/flags", {"flag": "not_mobile"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "flag-not-for-this-contact")


def test_a_flag_that_nobody_knows_is_refused(machine: Caller, told: tuple[str, str, str]) -> None:
    answer = machine.post(flags_page(told), {"flag": "unlucky"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid-body")
    assert "unlucky" not in answer.get_data(as_text=True)


def test_a_contact_point_of_somebody_else_is_not_found(machine: Caller, told: tuple[str, str, str]) -> None:
    for path in (f"/v1/people/{told[1]}/contacts/{uuid4()}/flags", f"/v1/people/{uuid4()}/contacts/{told[2]}/flags"):
        answer = machine.post(path, {"flag": "dead"})
        assert answer.status_code == 404
        assert answer.get_json()["code"] in {"unknown-contact", "unknown-person"}
