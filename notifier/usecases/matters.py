"""One matter of the agency, for a key of its own mode."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text

from notifier.core.errors import Forbidden, NotFound
from notifier.store import tables as t
from notifier.store.engine import Tx
from notifier.usecases.access import Principal


def find_matter(tx: Tx, matter_id: UUID, principal: Principal | None = None) -> Row[Any]:
    """The row of a matter. Without a principal the operator of this machine asks, whom both modes are open to.

    Raises:
        NotFound: `unknown-matter`: none in this agency.
        Forbidden: `mode-mismatch`: a test key for a live matter, or the other way round.
    """
    return _read(tx, _by_id(tx, matter_id), principal)


def take_matter(tx: Tx, matter_id: UUID, principal: Principal | None = None) -> Row[Any]:
    """As `find_matter`, and hold the matter until this transaction ends."""
    return _read(tx, _by_id(tx, matter_id).with_for_update(key_share=True), principal)


def bound_packs(tx: Tx, matter_id: UUID) -> list[str]:
    """The ids of the packs that a matter is bound to."""
    return list(
        tx.conn.execute(
            text("select pack_id from matter_pack where agency_id = :agency and matter_id = :matter order by pack_id"),
            {"agency": tx.agency_id, "matter": matter_id},
        ).scalars()
    )


def _by_id(tx: Tx, matter_id: UUID) -> Select[Any]:
    return select(t.matter).where(t.matter.c.agency_id == tx.agency_id, t.matter.c.matter_id == matter_id)


def _read(tx: Tx, query: Select[Any], principal: Principal | None) -> Row[Any]:
    row = tx.conn.execute(query).one_or_none()
    if row is None:
        raise NotFound("unknown-matter", "There is no such matter.")
    if principal is not None and row.mode != principal.mode.value:
        raise Forbidden("mode-mismatch", f"This is a {row.mode} matter: use a {row.mode} key.")
    return row
