"""The registry: whatever is not in it cannot be said, and nobody can be named in it."""

import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.events import REGISTRY, EventSpec, EventType, problems
from notifier.core.model import Demand
from notifier.core.person_row import AddressRow, ContactRow, PersonRow

every_type = pytest.mark.parametrize("event_type", EventType, ids=str)

# ETSI EN 319 522-1, table 1 and EN 319 522-3, table 2: the events that some type of ours corresponds to.
ETSI = {
    "ConsignmentAcceptance",
    "ConsignmentRejection",
    "AcceptanceRejectionExpiry",
    "ContentHandover",
    "RelayToNonERDS",
    "RelayToNonERDSFailure",
}

# What people are called, where they are, what they speak, what the demand says: only commitments may go by these names.
SEALED = {field.name for field in fields(Demand) if field.type == "str"} | {
    name for model in (PersonRow, AddressRow, ContactRow) for name in model.model_fields
}
PERSONAL = {
    *("name", "names", "native_name", "first_name", "last_name", "alias", "birth_date", "ssn"),
    *("address", "street", "lines", "city", "region", "postal_code", "zip", "country"),
    *("phone", "mobile", "fax", "email", "mailbox", "value", "language", "issuer", "number", "dated"),
    *("external_id", "code", "token", "password", "subject", "html", "note", "comment", "free_text", "description"),
}
# Words inside a longer name. The second part of each of these says that the whole is a code of ours or a carrier's.
OURS = {"issuer_class", "carrier_code"}
# Codes, dates of the paper that stand on every letter, and the list of our own contact ids.
MEANT = {"contacts", "kind", "received_on"}


@every_type
def test_every_type_has_a_specification(event_type: EventType) -> None:
    assert isinstance(REGISTRY[event_type], EventSpec)
    assert len(REGISTRY) == len(EventType)


@every_type
def test_a_type_says_what_happened_to_what(event_type: EventType) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", event_type.value)
    assert event_type.value.replace(".", "_").upper() == event_type.name


@every_type
def test_no_member_goes_by_a_name_that_personal_data_has(event_type: EventType) -> None:
    members = (REGISTRY[event_type].must | REGISTRY[event_type].may) - OURS - MEANT
    assert not members & (PERSONAL | SEALED)
    assert not {word for member in members for word in member.split("_")} & PERSONAL


@every_type
def test_members_are_ascii_and_said_once(event_type: EventType) -> None:
    spec = REGISTRY[event_type]
    assert not spec.must & spec.may
    for name in spec.must | spec.may | spec.commits:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


@every_type
def test_an_etsi_name_is_one_of_the_standard(event_type: EventType) -> None:
    assert REGISTRY[event_type].etsi in {None, *ETSI}


def test_post_email_and_text_messages_are_never_called_delivered() -> None:
    for event_type in EventType:
        if event_type.value.startswith("attempt."):
            assert REGISTRY[event_type].etsi in {None, "RelayToNonERDS", "RelayToNonERDSFailure"}


@every_type
def test_an_event_with_what_it_must_have_is_well_formed(event_type: EventType) -> None:
    spec = REGISTRY[event_type]
    full = dict.fromkeys(spec.must | spec.may, "x")
    least = dict.fromkeys(spec.must, "x")
    commits = dict.fromkeys(spec.commits, bytes(32))
    assert problems(event_type, data=full, commits=commits, person=True) == []
    assert problems(event_type, data=least, commits={}, person=spec.about_person) == []


@every_type
def test_an_event_without_any_one_of_what_it_must_have_is_refused(event_type: EventType) -> None:
    spec = REGISTRY[event_type]
    for name in spec.must:
        least = dict.fromkeys(spec.must - {name}, "x")
        assert problems(event_type, data=least, commits={}, person=True) == [f"missing member {name}"]
    if spec.about_person:
        assert problems(event_type, data=dict.fromkeys(spec.must, "x"), commits={}, person=False) == ["no person"]


@given(st.sampled_from(EventType), st.text(max_size=12))
def test_an_unknown_member_or_commitment_is_refused(event_type: EventType, name: str) -> None:
    spec = REGISTRY[event_type]
    data = dict.fromkeys({*spec.must, name}, "x")
    commits = {name: bytes(32)}
    found = problems(event_type, data=data, commits=commits, person=True)
    assert (f"unknown member {name}" in found) is (name not in spec.must | spec.may)
    assert (f"unknown commitment {name}" in found) is (name not in spec.commits)


@given(st.text(max_size=30).filter(lambda text: text not in set(EventType)))
def test_an_unknown_type_is_refused(name: str) -> None:
    assert problems(name, data={}, commits={}, person=True) == ["unknown type"]


def test_what_is_wrong_is_told_without_any_value() -> None:
    told = problems("person.listed", data={"list": "Example Person"}, commits={"phone": "303-555-0142"}, person=True)
    assert told
    assert not [line for line in told if "Example" in line or "555" in line]
