"""What somebody could write who makes a new chain, head and all: still nothing that the registry does not have."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.errors import LedgerError
from notifier.core.ledger import extend, verify_chain
from tests.core.chains import MATTER, NOW, chained, draft, values


def _change(**members: Any) -> Callable[[dict[str, Any]], None]:
    return lambda leaf: leaf.update(members)


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda leaf: leaf.pop(name)


FORGERIES: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "another version": _change(v=2),
    "true for version 1": _change(v=True),
    "false for number 0": _change(mseq=False),
    "no version": _drop("v"),
    "an unknown type": _change(type="release.granted"),
    "an unknown member": _change(name="Example Person"),
    "an unknown datum": lambda leaf: leaf["data"].update(name="Example Person"),
    "a datum missing": lambda leaf: leaf["data"].pop("attempt"),
    "no person": _drop("person"),
    "a person without an id": _change(person="Example Person"),
    "no actor": _drop("actor"),
    "an actor of no kind": _change(actor={"kind": "robot", "id": "r"}),
    "an actor of a list": _change(actor={"kind": [], "id": "r"}),
    "an actor with a name": _change(actor={"kind": "officer", "id": "x", "name": "Example"}),
    "an actor without id": _change(actor={"kind": "officer", "id": 5}),
    "the wrong etsi event": _change(etsi="ContentHandover"),
    "a local time": _change(at="2026-11-22T09:00:00.000000-07:00"),
    "no microseconds": _change(at="2026-11-22T16:00:00Z"),
    "no id": _drop("eid"),
    "an id that is none": _change(eid="1"),
    "both chains": _change(agency=str(MATTER)),
    "no chain": _drop("matter"),
    "commitments that are none": _change(commit={"text": "Example Person"}),
    "commitments to nothing": _change(commit={}),
    "data as a list": _change(data=[]),
    "a float": lambda leaf: leaf["data"].update(status=1.5),
    "a null": lambda leaf: leaf["data"].update(status=None),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_event_is_refused(forge: Callable[[dict[str, Any]], None]) -> None:
    leaf = json.loads(chained(1)[0].body)
    forge(leaf)
    body = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(LedgerError, match=r"^event 0: ") as caught:
        verify_chain([body], chain=MATTER)
    assert "Example" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b'{"v":"\\ud800"}',
        b'{"v":1e400}',
        b'{"v":NaN}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_bytes_that_are_no_event_are_refused(body: bytes) -> None:
    with pytest.raises(LedgerError, match=r"^event 0: "):
        verify_chain([body], chain=MATTER)


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(LedgerError):
        verify_chain([body], chain=MATTER)


@pytest.mark.parametrize("spelling", ["spaces", "another order", "escapes", "twice a member"])
def test_an_event_spelled_otherwise_is_refused_though_it_says_the_same(spelling: str) -> None:
    body = chained(1)[0].body
    leaf = json.loads(body)
    spelled = {
        "spaces": json.dumps(leaf, sort_keys=True).encode(),
        "another order": json.dumps(dict(reversed(leaf.items())), separators=(",", ":")).encode(),
        "escapes": body.replace(b"status", b"\\u0073tatus"),
        "twice a member": b'{"v":1,' + body[1:],
    }[spelling]
    assert json.loads(spelled) == leaf
    with pytest.raises(LedgerError, match="not canonical"):
        verify_chain([spelled], chain=MATTER)


def test_time_never_goes_back_along_a_chain() -> None:
    first = extend([draft(0)], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
    earlier = NOW - timedelta(microseconds=1)
    second = extend([draft(1)], chain=MATTER, is_matter=True, seq=1, head=first[0].leaf, at=earlier)
    with pytest.raises(LedgerError, match="event 1: is there twice, or earlier"):
        verify_chain([first[0].body, second[0].body], chain=MATTER)


def test_the_same_event_cannot_stand_in_two_places() -> None:
    twice = extend([draft(0), draft(0)], chain=MATTER, is_matter=True, seq=0, head=b"", at=NOW)
    with pytest.raises(LedgerError, match="event 1: is there twice"):
        verify_chain([event.body for event in twice], chain=MATTER)
