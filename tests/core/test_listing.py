"""What is written straight down of a person on a list is what the general writers make, byte for byte."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.events import EventType
from notifier.core.ledger import Draft, Json, actor_member, extend, verify_chain
from notifier.core.listing import person_listed, sealed_code, sealed_point
from notifier.core.model import Actor, ContactKind, ContactPoint, PostalAddress
from notifier.core.problem import Problem

MATTER = UUID("00000000-0000-4000-8000-00000000aaaa")
NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)

ids = st.uuids()
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
problems = st.none() | st.sampled_from(Problem)
addresses = st.builds(PostalAddress, st.lists(words, max_size=3).map(tuple), words, words, words, words)
points = st.builds(ContactPoint, st.sampled_from(ContactKind), words, st.none() | addresses, problems)


@given(
    eid=ids,
    officer=ids,
    listed=ids,
    row=st.integers(0, 2**31 - 1),
    person=ids,
    recipient=ids,
    contacts=st.lists(st.tuples(ids, points), max_size=20),
    commitment=st.binary(min_size=32, max_size=32),
)
def test_a_row_of_a_list_is_said_as_any_event_is(
    eid: UUID,
    officer: UUID,
    listed: UUID,
    row: int,
    person: UUID,
    recipient: UUID,
    contacts: list[tuple[UUID, ContactPoint]],
    commitment: bytes,
) -> None:
    actor = Actor.officer(officer)
    named: list[Json] = [
        {"id": str(contact_id), "kind": point.kind.value} | ({"problem": point.problem.value} if point.problem else {})
        for contact_id, point in contacts
        if point.problem is None or isinstance(point.problem, Problem)
    ]
    data: dict[str, Json] = {"list": str(listed), "row": row, "recipient": str(recipient), "contacts": named}
    general = Draft(eid, EventType.PERSON_LISTED, actor, data, person, {"person": commitment}, b"sealed")
    straight = person_listed(
        eid=eid.bytes,
        actor=actor_member(actor),
        list_id=str(listed),
        row=row,
        person=person.bytes,
        recipient=recipient.bytes,
        contacts=[(contact_id.bytes, point) for contact_id, point in contacts],
        commitment=commitment,
        opening=b"sealed",
    )
    (said,) = extend([straight], chain=MATTER, is_matter=True, seq=7, head=b"\x05" * 32, at=NOW)
    assert [said] == extend([general], chain=MATTER, is_matter=True, seq=7, head=b"\x05" * 32, at=NOW)
    assert said.body == rfc8785.dumps(json.loads(said.body))
    (first,) = extend([straight], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
    assert verify_chain([first.body], chain=MATTER) == (1, first.leaf)


@given(points)
def test_a_sealed_contact_point_is_its_value_and_its_address(point: ContactPoint) -> None:
    told = {"value": point.value} | ({"address": asdict(point.address)} if point.address else {})
    assert json.loads(sealed_point(point)) == json.loads(json.dumps(told))


def test_a_sealed_code_is_json() -> None:
    assert json.loads(sealed_code("48291637042")) == {"code": "48291637042"}


def test_no_word_of_ours_needs_an_escape_in_json() -> None:
    assert all(re.fullmatch(r"[a-z0-9_.]+", word) for word in (*Problem, *ContactKind, *EventType))
