"""The chain of events: its bytes are those of RFC 8785, and nothing in it can be changed unseen."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import assume, example, given
from hypothesis import strategies as st

from notifier.core.errors import LedgerError
from notifier.core.events import REGISTRY, EventType
from notifier.core.ledger import (
    MAX_INTEGER,
    Chained,
    Draft,
    Json,
    canonical,
    commitment,
    extend,
    leaf_hash,
    timestamp,
    verify_chain,
)
from notifier.core.model import Actor, ActorKind
from tests.core.chains import MATTER, NOW, chained, draft, texts, values


@given(values)
@example({"\u007f": '\u2028\u2029\x00\x1f\b\f\n\r\t"\\/', "": [], "a": {}, "A": MAX_INTEGER, "b": -MAX_INTEGER})
def test_canonical_bytes_are_those_of_rfc_8785(value: Json) -> None:
    assert canonical(value) == rfc8785.dumps(_plain(value))


@given(values)
def test_canonical_bytes_say_the_same_when_they_are_read_back(value: Json) -> None:
    assert json.loads(canonical(value)) == _plain(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        None,
        {"a": None},
        [1.5],
        {"é": 1},
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        "\ud800",
        {"a": ["\udfff"]},
        b"bytes",
        {"a"},
        NOW,
        MATTER,
    ],
    ids=repr,
)
def test_a_value_outside_the_schema_is_refused(value: Any) -> None:
    with pytest.raises(LedgerError):
        canonical(value)


def test_a_leaf_is_hashed_with_the_prefix_of_rfc_6962() -> None:
    assert leaf_hash(b"") == bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()


def test_a_commitment_is_bound_to_its_event_its_field_and_its_value() -> None:
    salt, eid = bytes(32), UUID(int=1)
    made = commitment(salt, eid, "person", b"value")
    assert made == hmac.digest(salt, b"notice-log/v1\0" + str(eid).encode() + b"\0person\0value", "sha256")
    others = {
        commitment(b"\1" * 32, eid, "person", b"value"),
        commitment(salt, UUID(int=2), "person", b"value"),
        commitment(salt, eid, "receipt", b"value"),
        commitment(salt, eid, "person", b"valuf"),
    }
    assert len(others | {made}) == 5


def test_a_time_is_written_in_utc_with_microseconds() -> None:
    denver = timezone(timedelta(hours=-7))
    assert timestamp(datetime(2026, 11, 22, 9, 0, 0, 7, denver)) == "2026-11-22T16:00:00.000007Z"
    assert timestamp(NOW) == "2026-11-22T16:00:00.000000Z"
    with pytest.raises(LedgerError, match="naive"):
        timestamp(datetime(2026, 11, 22))  # noqa: DTZ001 # the mistake itself


def test_a_chain_begins_with_nothing_before_it() -> None:
    assert verify_chain([], chain=MATTER) == (0, b"")
    first = chained(1)[0]
    leaf = json.loads(first.body)
    assert (leaf["mseq"], leaf["mprev"], leaf["matter"]) == (0, "", str(MATTER))
    assert verify_chain([first.body], chain=MATTER) == (1, first.leaf)


def test_an_event_names_the_hash_of_the_one_before_it() -> None:
    events = chained(4)
    for before, event in pairwise(events):
        assert json.loads(event.body)["mprev"] == before.leaf.hex() == leaf_hash(before.body).hex()


def test_a_chain_can_be_extended_in_steps() -> None:
    drafts = [draft(n) for n in range(5)]
    at_once = extend(drafts, chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
    first = extend(drafts[:2], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
    rest = extend(drafts[2:], chain=MATTER, is_matter=True, seq=2, head=first[-1].leaf, at=NOW)
    assert [*first, *rest] == at_once


def test_the_chain_of_an_agency_says_so() -> None:
    made = Draft(UUID(int=1), EventType.AGENCY_CREATED, Actor.system("cli"), {"zone": "America/Denver"})
    event = extend([made], chain=MATTER, is_matter=False, seq=0, head=b"", at=NOW)[0]
    assert json.loads(event.body)["agency"] == str(MATTER)
    assert verify_chain([event.body], chain=MATTER) == (1, event.leaf)


def test_an_event_names_its_etsi_event_where_there_is_one() -> None:
    data = {"attempt": str(UUID(int=7)), "status": "handed_over"}
    made = Draft(UUID(int=1), EventType.ATTEMPT_HANDED_OVER, Actor.system("dispatch"), data, person=UUID(int=8))
    event = extend([made], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)[0]
    assert json.loads(event.body)["etsi"] == "RelayToNonERDS"
    assert "etsi" not in json.loads(chained(1)[0].body)


@given(
    kind=st.sampled_from(EventType),
    actor=st.builds(Actor, st.sampled_from(ActorKind), texts),
    member=values,
    person=st.uuids(),
    salted=st.binary(min_size=32, max_size=32),
    is_matter=st.booleans(),
    seq=st.integers(0, MAX_INTEGER),
)
def test_the_bytes_of_any_event_are_those_of_rfc_8785(
    *, kind: EventType, actor: Actor, member: Json, person: UUID, salted: bytes, is_matter: bool, seq: int
) -> None:
    spec = REGISTRY[kind]
    data = dict.fromkeys(spec.must | spec.may, member)
    made = Draft(person, kind, actor, data, person, dict.fromkeys(spec.commits, salted))
    try:
        (event,) = extend([made], chain=MATTER, is_matter=is_matter, seq=seq, head=salted, at=NOW)
    except LedgerError as error:
        assert str(error).endswith("over 8192 bytes")  # noqa: PT017 # nothing else may be wrong with it
        return
    chain = {"matter": str(MATTER)} if is_matter else {"agency": str(MATTER)}
    etsi = {"etsi": spec.etsi} if spec.etsi else {}
    commits = {"commit": dict.fromkeys(spec.commits, salted.hex())} if spec.commits else {}
    whole: dict[str, Json] = {"v": 1, "eid": str(person), "type": kind.value, "at": timestamp(NOW), "mseq": seq}
    whole |= {"mprev": salted.hex(), "actor": {"kind": actor.kind.value, "id": actor.id}, "data": data}
    assert event.body == rfc8785.dumps(_plain({**whole, **chain, **etsi, **commits, "person": str(person)}))


def test_an_event_over_eight_kib_is_refused() -> None:
    too_long = replace(draft(0), data={"attempt": "x" * 8192})
    with pytest.raises(LedgerError, match="over 8192 bytes"):
        extend([too_long], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": {}},
        {"data": {"attempt": "a", "name": "Example"}},
        {"person": None},
        {"commits": {"person": bytes(32)}},
        {"data": {"attempt": "a", "status": 1.5}},
        {"data": {"attempt": "a", "status": "\ud800"}},
    ],
    ids=["missing member", "unknown member", "no person", "unknown commitment", "a float", "half a pair"],
)
def test_a_draft_that_the_registry_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LedgerError) as caught:
        extend([replace(draft(0), **wrong)], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
    assert "Example" not in str(caught.value)


# What an attacker with the database can do to the stored bytes, held against the head.


@given(st.integers(1, 6), st.data())
def test_no_single_bit_can_be_flipped(length: int, data: st.DataObject) -> None:
    events = chained(length)
    victim = data.draw(st.integers(0, length - 1))
    bit = data.draw(st.integers(0, len(events[victim].body) * 8 - 1))
    body = bytearray(events[victim].body)
    body[bit // 8] ^= 1 << bit % 8
    bodies = [event.body for event in events]
    bodies[victim] = bytes(body)
    assert not holds(bodies, events)


def test_no_bit_of_a_whole_event_can_be_flipped() -> None:
    events = chained(1)
    for bit in range(len(events[0].body) * 8):
        body = bytearray(events[0].body)
        body[bit // 8] ^= 1 << bit % 8
        assert not holds([bytes(body)], events)


@given(st.integers(1, 6), st.data())
def test_no_event_can_be_dropped(length: int, data: st.DataObject) -> None:
    events = chained(length)
    bodies = [event.body for event in events]
    del bodies[data.draw(st.integers(0, length - 1))]
    assert not holds(bodies, events)


@given(st.integers(1, 6), st.data())
def test_the_end_cannot_be_cut_off(length: int, data: st.DataObject) -> None:
    events = chained(length)
    assert not holds([event.body for event in events[: data.draw(st.integers(0, length - 1))]], events)


@given(st.integers(1, 6), st.data())
def test_no_event_can_be_put_in(length: int, data: st.DataObject) -> None:
    events = chained(length)
    place = data.draw(st.integers(0, length))
    before = events[place - 1].leaf if place else b""
    forged = extend([draft(99)], chain=MATTER, is_matter=True, seq=place, head=before, at=NOW)[0]
    bodies = [event.body for event in events]
    bodies.insert(place, data.draw(st.sampled_from([forged.body, *bodies])))
    assert not holds(bodies, events)


@given(st.permutations(range(5)))
def test_no_two_events_can_change_places(order: Sequence[int]) -> None:
    assume(list(order) != sorted(order))
    events = chained(5)
    assert not holds([events[place].body for place in order], events)


@given(st.integers(0, 4))
def test_nothing_can_be_rewritten_from_the_middle_on(place: int) -> None:
    events = chained(5)
    before = events[place - 1].leaf if place else b""
    forged = extend(
        [draft(n) for n in range(50, 55 - place)], chain=MATTER, is_matter=True, seq=place, head=before, at=NOW
    )
    bodies = [event.body for event in [*events[:place], *forged]]
    assert verify_chain(bodies, chain=MATTER)[0] == 5  # in itself it is a chain
    assert not holds(bodies, events)  # and not the one of this head


def test_a_chain_of_another_matter_does_not_pass_for_this_one() -> None:
    events = chained(3)
    with pytest.raises(LedgerError):
        verify_chain([event.body for event in events], chain=UUID(int=5))


def holds(bodies: Sequence[bytes], events: Sequence[Chained]) -> bool:
    """Whether these bytes pass for the chain that ends in the last of `events`."""
    try:
        return verify_chain(bodies, chain=MATTER) == (len(events), events[-1].leaf)
    except LedgerError:
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list | tuple) else value
