"""The people of a matter come in, list by list.

Rows in = persons stored, always: a list is stored whole or not at all, and a person without a usable contact is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from notifier.core.events import EventType
from notifier.core.ledger import Json
from notifier.core.person_row import PersonRow
from notifier.store import tables as t
from notifier.store.draft_spool import DraftSpool
from notifier.store.engine import Tx
from notifier.store.ledger import append, append_many, sealed_draft
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.matters import take_matter
from notifier.usecases.sheets import SheetWriter

SHEET: Final = 1000


@dataclass(frozen=True, slots=True)
class ListReceived:
    """What became of one list: counts only. `contacts` counts usable ones by channel, `problems` unusable by code."""

    roster_id: UUID
    rows: int
    persons: int
    unreachable: int
    contacts: dict[str, int]
    problems: dict[str, int]


def add_people(
    tx: Tx,
    matter_id: UUID,
    rows: Iterable[PersonRow],
    *,
    format: str,  # noqa: A002 # the word of the API
    body_digest: bytes,
    principal: Principal,
    vault: Vault,
    now: datetime,
) -> ListReceived:
    """Add a list to a matter, read row by row in flat memory. Its people wait for approval.

    (1) take the matter, so that two lists get their places one after the other; (2) store the rows, sheet by sheet;
    (3) take the head of the chain last, so that an objection never waits for a long list.

    Raises:
        NotFound: `unknown-matter`.
        Forbidden: `mode-mismatch`: a test key for a live matter, or the other way round.
        Invalid: `duplicate-external-id`; whatever reading the rows raises passes through. Nothing is stored then.
    """
    principal.require(Scope.MATTER_WRITE)
    already: int = take_matter(tx, matter_id, principal).persons  # (1)
    roster_id = uuid4()
    tx.conn.execute(
        insert(t.roster).values(
            agency_id=tx.agency_id,
            roster_id=roster_id,
            matter_id=matter_id,
            format=format,
            rows=0,
            received_at=now,
            uploaded_by=principal.officer_id,
        )
    )
    writer = SheetWriter(tx, matter_id, roster_id, already=already, actor=principal.actor, vault=vault, now=now)
    tally = writer.tally
    spool = DraftSpool()
    try:
        for row in rows:  # (2)
            writer.add(row)
            if len(writer) == SHEET:
                spool.add(writer.store())
        spool.add(writer.store())
        values = {"matter": matter_id, "roster": roster_id, "rows": tally.rows, "agency": tx.agency_id}
        tx.conn.execute(
            text("update roster set rows = :rows where agency_id = :agency and roster_id = :roster"), values
        )
        tx.conn.execute(
            text("update matter set persons = persons + :rows where agency_id = :agency and matter_id = :matter"),
            values,
        )
        append_many(tx, matter_id, spool, at=now)  # (3)
        listed: dict[str, Json] = {
            "list": str(roster_id),
            "rows": tally.rows,
            "persons": tally.rows,
            "format": format,
        }
        cipher = vault.cipher(tx, matter_id)
        received = sealed_draft(cipher, EventType.LIST_RECEIVED, principal.actor, listed, values={"body": body_digest})
        append(tx, matter_id, [received], at=now)
    finally:
        spool.close()
    return ListReceived(
        roster_id, tally.rows, tally.rows, tally.unreachable, dict(tally.contacts), dict(tally.problems)
    )
