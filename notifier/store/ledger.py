"""Appending to a chain in the transaction of the change that it records."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import Row, text

from notifier.core.errors import LedgerError
from notifier.core.events import EventType
from notifier.core.ledger import Chained, Draft, Json, Prepared, commitment, extend, leaf_hash, timestamp, verify_chain
from notifier.core.model import Actor
from notifier.store.bulk import insert_rows
from notifier.store.engine import Tx
from notifier.store.vault import Cipher

OPENING = "event.opening"
_READ = 1000  # events at a time: a chain may have millions


def open_chain(tx: Tx, chain_id: UUID, *, is_matter: bool) -> None:
    """The empty chain of a new matter or agency."""
    tx.conn.execute(
        text("insert into chain (agency_id, chain_id, is_matter) values (:agency, :chain, :is_matter)"),
        {"agency": tx.agency_id, "chain": chain_id, "is_matter": is_matter},
    )


def lock_chains(tx: Tx, chain_ids: Iterable[UUID]) -> None:
    """Take several chains in id order, so that two writers never wait for each other."""
    tx.conn.execute(
        text(
            "select from chain where agency_id = :agency and chain_id = any(:ids) order by chain_id for no key update"
        ),
        {"agency": tx.agency_id, "ids": list(chain_ids)},
    )


def draft(event_type: EventType, actor: Actor, data: Mapping[str, Json], *, person: UUID | None = None) -> Draft:
    """An event that commits to nothing."""
    return Draft(uuid4(), event_type, actor, data, person)


def sealed_draft(
    cipher: Cipher,
    event_type: EventType,
    actor: Actor,
    data: Mapping[str, Json],
    *,
    person: UUID | None = None,
    values: Mapping[str, bytes],
) -> Draft:
    """An event that commits to values with fresh salts; the salts are kept, sealed under `cipher`.

    The values themselves stay where they live (the person's row, the letter, the receipt).
    """
    random = os.urandom(16 + 32 * len(values))  # one call: each gives other threads the interpreter
    eid = UUID(bytes=random[:16], version=4)
    salts = {name: random[start : start + 32] for start, name in zip(count(16, 32), values, strict=False)}
    commits = {name: commitment(salts[name], eid, name, value) for name, value in values.items()}
    opening = json.dumps({name: salt.hex() for name, salt in salts.items()}).encode()
    return Draft(eid, event_type, actor, data, person, commits, cipher.seal(opening, OPENING, eid))


def append(tx: Tx, chain_id: UUID, drafts: Sequence[Draft], *, at: datetime) -> None:
    """Put events at the end of a chain, in order; holds the chain until this transaction ends.

    Raises:
        LedgerError: there is no such chain, or a draft is not in the registry.
    """
    append_many(tx, chain_id, [drafts] if drafts else [], at=at)


def append_many(tx: Tx, chain_id: UUID, handfuls: Iterable[Sequence[Draft | Prepared]], *, at: datetime) -> None:
    """As `append`, one handful after the other.

    A time earlier than the last event's is raised to it: a chain never goes back.
    """
    row = tx.conn.execute(
        text(
            "select is_matter, seq, head, last_at from chain where agency_id = :agency and chain_id = :chain"
            " for no key update"
        ),
        {"agency": tx.agency_id, "chain": chain_id},
    ).one_or_none()
    if row is None:
        raise LedgerError("no such chain")
    seq, head, at = row.seq, row.head, max(at, row.last_at)
    for drafts in handfuls:
        chained = extend(drafts, chain=chain_id, is_matter=row.is_matter, seq=seq, head=head, at=at)
        _insert_events(tx, [(chain_id, event) for event in chained])
        seq, head = seq + len(chained), chained[-1].leaf
    tx.conn.execute(
        text(
            "update chain set seq = :seq, head = :head, last_at = :at where agency_id = :agency and chain_id = :chain"
        ),
        {"agency": tx.agency_id, "chain": chain_id, "seq": seq, "head": head, "at": at},
    )


def append_to_chains(tx: Tx, drafts: Mapping[UUID, Sequence[Draft]], *, at: Mapping[UUID, datetime]) -> None:
    """As `append`, to several chains in four statements; `at` gives each chain's time.

    Raises:
        LedgerError: there is no such chain, or a draft is not in the registry.
    """
    wanted = sorted(chain_id for chain_id, some in drafts.items() if some)
    if not wanted:
        return
    rows = tx.conn.execute(
        text(
            "select chain_id, is_matter, seq, head, last_at from chain"
            " where agency_id = :agency and chain_id = any(:ids) order by chain_id for no key update"
        ),
        {"agency": tx.agency_id, "ids": wanted},
    ).all()
    if len(rows) < len(wanted):
        raise LedgerError("no such chain")
    placed: list[tuple[UUID, Chained]] = []
    ends: list[tuple[int, bytes, datetime]] = []
    for row in rows:
        when = max(at[row.chain_id], row.last_at)
        chained = extend(
            drafts[row.chain_id], chain=row.chain_id, is_matter=row.is_matter, seq=row.seq, head=row.head, at=when
        )
        placed += [(row.chain_id, event) for event in chained]
        ends.append((row.seq + len(chained), chained[-1].leaf, when))
    _insert_events(tx, placed)
    tx.conn.execute(
        text(
            "update chain c set seq = u.seq, head = u.head, last_at = u.at from unnest(cast(:ids as uuid[]),"
            " cast(:seqs as int8[]), cast(:heads as bytea[]), cast(:ats as timestamptz[])) u(chain_id, seq, head, at)"
            " where c.agency_id = :agency and c.chain_id = u.chain_id"
        ),
        {
            "agency": tx.agency_id,
            "ids": wanted,
            "seqs": [seq for seq, _, _ in ends],
            "heads": [head for _, head, _ in ends],
            "ats": [when for _, _, when in ends],
        },
    )


def _insert_events(tx: Tx, placed: Sequence[tuple[UUID, Chained]]) -> None:
    events = [event for _, event in placed]
    insert_rows(
        tx,
        "event",
        {
            "chain_id": ("uuid", [chain_id for chain_id, _ in placed]),
            "seq": ("int8", [event.seq for event in events]),
            "event_id": ("uuid", [event.eid for event in events]),
            "type": ("text", [event.type.value for event in events]),
            "at": ("timestamptz", [event.at for event in events]),
            "person_id": ("uuid", [event.person for event in events]),
            "body": ("bytea", [event.body for event in events]),
            "leaf": ("bytea", [event.leaf for event in events]),
            "opening": ("bytea", [event.opening for event in events]),
        },
    )


def read_chain(tx: Tx, chain_id: UUID) -> list[bytes]:
    """The stored bytes of a chain, in order."""
    return list(
        tx.conn.execute(
            text("select body from event where agency_id = :agency and chain_id = :chain order by seq"),
            {"agency": tx.agency_id, "chain": chain_id},
        ).scalars()
    )


def verify(tx: Tx, chain_id: UUID) -> int:
    """Walk a stored chain and compare its end with the head that is kept; returns the number of events.

    Raises:
        LedgerError: there is no such chain; an event was changed, dropped, added or moved; or the columns beside an
            event's bytes, which pages are read by, say something else than the bytes.
    """
    kept = tx.conn.execute(
        text("select seq, head from chain where agency_id = :agency and chain_id = :chain for share"),
        {"agency": tx.agency_id, "chain": chain_id},
    ).one_or_none()
    if kept is None:
        raise LedgerError("no such chain")
    rows = tx.conn.execute(
        text(
            "select seq, event_id, type, at, person_id, body, leaf from event"
            " where agency_id = :agency and chain_id = :chain order by seq"
        ),
        {"agency": tx.agency_id, "chain": chain_id},
        execution_options={"yield_per": _READ},
    )
    with rows:
        if verify_chain(_bodies(rows), chain=chain_id) != (kept.seq, kept.head):
            raise LedgerError("the chain does not end where its head says")
    return cast("int", kept.seq)


def _bodies(rows: Iterable[Row[tuple[object, ...]]]) -> Iterator[bytes]:
    """The bytes of each row; when the next is asked for, they have been verified, and the columns are held to them."""
    for row in rows:
        yield row.body
        said = json.loads(row.body)
        told = (said["mseq"], said["eid"], said["type"], said["at"], said.get("person"), leaf_hash(row.body))
        person = None if row.person_id is None else str(row.person_id)
        if (row.seq, str(row.event_id), row.type, timestamp(row.at), person, row.leaf) != told:
            raise LedgerError(f"event {row.seq}: its columns do not say what its bytes say")
