"""One matter of the agency, for a key of its own mode."""

import hashlib
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text

from notifier.core.errors import Forbidden, Invalid, NotFound
from notifier.core.pack_files import read_pack
from notifier.core.policy import Pack, Packs
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


def bound_packs(tx: Tx, matter_id: UUID, packs: Packs) -> list[Pack]:
    """The packs that a matter is bound to, as they were then; `packs` are those installed now.

    Raises:
        Invalid: `unknown-pack`: one of them is neither installed in these very bytes nor kept with the matter, or this
            release cannot read it. What another version of it would want is not what the matter is bound to.
    """
    ids = {"agency": tx.agency_id, "matter": matter_id}
    rows = tx.conn.execute(
        text(
            "select pack_id, sha256 from matter_pack where agency_id = :agency and matter_id = :matter order by pack_id"
        ),
        ids,
    ).all()
    found: list[Pack] = []
    for row in rows:
        pack, sha256 = packs.get(row.pack_id), row.sha256.hex()
        if pack is None or pack.sha256 != sha256:
            kept = text(
                "select content from matter_pack where agency_id = :agency and matter_id = :matter and pack_id = :pack"
            )
            pack = _kept(row.pack_id, sha256, tx.conn.execute(kept, {**ids, "pack": row.pack_id}).scalar_one())
        if pack is None:
            raise Invalid("unknown-pack", "A pack that this matter is bound to is not installed in that version.")
        found.append(pack)
    return found


@lru_cache(maxsize=64)
def _kept(pack_id: str, sha256: str, content: bytes | None) -> Pack | None:
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        return None
    return read_pack(pack_id, content)


def _by_id(tx: Tx, matter_id: UUID) -> Select[Any]:
    return select(t.matter).where(t.matter.c.agency_id == tx.agency_id, t.matter.c.matter_id == matter_id)


def _read(tx: Tx, query: Select[Any], principal: Principal | None) -> Row[Any]:
    row = tx.conn.execute(query).one_or_none()
    if row is None:
        raise NotFound("unknown-matter", "There is no such matter.")
    if principal is not None and row.mode != principal.mode.value:
        raise Forbidden("mode-mismatch", f"This is a {row.mode} matter: use a {row.mode} key.")
    return row
