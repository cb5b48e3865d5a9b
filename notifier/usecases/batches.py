"""Print batches as they lie there: which there are, which are late, and their files."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select, text

from notifier.core.business_days import red_from
from notifier.core.errors import Conflict, Forbidden, NotFound
from notifier.core.model import KeyKind
from notifier.store import tables as t
from notifier.store.blobs import get_blob
from notifier.store.engine import Tx
from notifier.store.vault import Vault
from notifier.usecases.access import Principal, Scope
from notifier.usecases.office import zone_of

PARTS: Final = frozenset({"pdf", "manifest", "totals"})


@dataclass(frozen=True, slots=True)
class BatchRead:
    """A print batch. `pieces` as closed, of which `withdrawn` were taken out again.

    `red`: neither declared mailed nor voided by the end of the business day after it was closed (`red_from`).
    """

    batch_id: UUID
    mode: str
    service: str
    closed_at: datetime
    pieces: int
    sheets: int
    withdrawn: int
    mailed_on: date | None
    place: str | None
    declared_at: datetime | None
    declared_by: UUID | None
    voided_at: datetime | None
    voided_by: UUID | None
    red_from: datetime
    red: bool


_STORED: Final = tuple(field.name for field in fields(BatchRead) if field.name not in {"red", "red_from"})


def list_batches(tx: Tx, *, principal: Principal, now: datetime) -> list[BatchRead]:
    """The agency's print batches of the key's mode, newest first: a test key shows no real person's address.

    Raises:
        Forbidden: `scope-missing`.
    """
    principal.require(Scope.MAILROOM)
    query = select(t.print_batch).where(
        t.print_batch.c.agency_id == tx.agency_id, t.print_batch.c.mode == principal.mode.value
    )
    zone = zone_of(tx)
    return [_read(row, zone, now) for row in tx.conn.execute(query.order_by(t.print_batch.c.closed_at.desc()))]


def _read(row: Row[Any], zone: ZoneInfo, now: datetime) -> BatchRead:
    late = red_from(row.closed_at, zone)
    is_open = row.declared_at is None and row.voided_at is None
    return BatchRead(**{name: getattr(row, name) for name in _STORED}, red_from=late, red=is_open and now >= late)


def batch_file(tx: Tx, batch_id: UUID, part: str, *, principal: Principal, vault: Vault) -> bytes:
    """One file of a batch: `pdf` (the letters), `manifest` (CSV) or `totals` (one page).

    Raises:
        Forbidden: `scope-missing`.
        NotFound: no such batch of the key's mode, or no such part.
        Conflict: `batch-voided`; of letters that were not mailed yet: `stopped`: a stop in force keeps one of them
            back; `pieces-withdrawn`: the file still holds letters that must not be printed from it.
    """
    principal.require(Scope.MAILROOM)
    query = select(t.print_batch).where(
        t.print_batch.c.agency_id == tx.agency_id,
        t.print_batch.c.batch_id == batch_id,
        t.print_batch.c.mode == principal.mode.value,
    )
    row = tx.conn.execute(query).mappings().one_or_none()
    if row is None or part not in PARTS:
        raise NotFound("unknown-print-batch", "There is no such print batch.")
    if row["voided_at"] is not None:
        raise Conflict("batch-voided", "This batch was voided: its letters are printed in another one.")
    if part == "pdf" and row["declared_at"] is None:
        if row["withdrawn"]:
            raise Conflict(
                "pieces-withdrawn",
                "Letters of this batch were withdrawn, and its file holds them. Mail what is printed, or void all.",
            )
        require_no_stop(tx, batch_id)
    return get_blob(tx, row[f"{part}_blob"], vault=vault)


def take_open_batch(tx: Tx, batch_id: UUID, *, principal: Principal) -> Row[Any]:
    """Hold a batch that an officer says something about, and that nothing final was said about yet.

    Raises:
        Forbidden: `scope-missing`; `personal-key-needed`: a machine mails nothing; `mode-mismatch`.
        NotFound: no such batch.
        Conflict: `already-declared`, `already-voided`.
    """
    principal.require(Scope.MAILROOM)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can speak for the mailroom.")
    query = select(t.print_batch).where(t.print_batch.c.agency_id == tx.agency_id, t.print_batch.c.batch_id == batch_id)
    row = tx.conn.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise NotFound("unknown-print-batch", "There is no such print batch.")
    if row.mode != principal.mode.value:
        raise Forbidden("mode-mismatch", f"This is a {row.mode} batch: use a {row.mode} key.")
    if row.declared_at is not None:
        raise Conflict("already-declared", "This batch was declared mailed before.")
    if row.voided_at is not None:
        raise Conflict("already-voided", "This batch was voided before.")
    return row


@dataclass(frozen=True, slots=True)
class InBatch:
    """A letter that lies in a batch."""

    attempt_id: UUID
    matter_id: UUID
    status: str


def letters_in(tx: Tx, batch_id: UUID) -> list[InBatch]:
    """The letters of a batch, without those that were withdrawn from it."""
    rows = tx.conn.execute(
        text(
            "select attempt_id, matter_id, status from attempt where agency_id = :agency and batch_id = :batch"
            " order by attempt_id"
        ),
        {"agency": tx.agency_id, "batch": batch_id},
    )
    return [InBatch(*row) for row in rows]


def require_no_stop(tx: Tx, batch_id: UUID) -> None:
    """Refuse while a stop in force keeps back a letter of a batch.

    Raises:
        Conflict: `stopped`.
    """
    held = tx.conn.execute(
        text(
            "select from attempt a join stop s on s.agency_id = a.agency_id and s.lifted_at is null"
            " and (s.matter_id is null or s.matter_id = a.matter_id) and (s.channel is null or s.channel = a.channel)"
            " where a.agency_id = :agency and a.batch_id = :batch limit 1"
        ),
        {"agency": tx.agency_id, "batch": batch_id},
    ).first()
    if held is not None:
        raise Conflict("stopped", "A stop keeps back letters of this batch. Put none of it in the post.")


def matters_of(letters: Collection[InBatch]) -> set[UUID]:
    """Whose chains to hold before anything is said about them."""
    return {letter.matter_id for letter in letters}
