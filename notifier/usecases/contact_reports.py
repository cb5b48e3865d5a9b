"""What an officer, or a system of the agency, says of a contact point of a person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text

from notifier.core.errors import Forbidden, Invalid, NotFound
from notifier.core.model import ContactFlag, ContactKind, KeyKind
from notifier.store.engine import Tx
from notifier.usecases.access import Principal, Scope
from notifier.usecases.contact_flags import Flagged, flag_contact, flags_of, lift_flag
from notifier.usecases.matters import find_matter
from notifier.usecases.tasks import WORKING_ROLES

SOURCE: Final = "officer"
BY_POST: Final = frozenset({ContactFlag.RETURNED, ContactFlag.MOVED})
"""What a piece of returned mail says; it is told when the piece is scanned in, with the post's reason."""


def report_flag(
    tx: Tx, person_id: UUID, contact_id: UUID, flag: ContactFlag, *, principal: Principal, now: datetime
) -> Sequence[Flagged]:
    """Have nothing more sent to a contact point; returns its flags. Saying it again changes nothing.

    Raises:
        Forbidden: `scope-missing`, `mode-mismatch`.
        NotFound: `unknown-person`, `unknown-contact`.
        Invalid: `flag-not-for-this-contact`: only a phone takes no text messages, and the post's word comes with a
            returned piece.
    """
    principal.require(Scope.MATTER_WRITE)
    point = _find(tx, person_id, contact_id, principal)
    if flag in BY_POST or (flag is ContactFlag.NOT_MOBILE and point.kind != ContactKind.PHONE):
        raise Invalid("flag-not-for-this-contact", "This cannot be said of this contact point here.")
    flag_contact(tx, contact_id, flag, source=SOURCE, actor=principal.actor, now=now)
    return flags_of(tx, [person_id]).get(contact_id, ())


def withdraw_flag(
    tx: Tx, person_id: UUID, contact_id: UUID, flag: ContactFlag, *, principal: Principal, now: datetime
) -> Sequence[Flagged]:
    """Say that a flag does not hold any more; returns those that do. An officer's word: machines only hold back.

    Raises:
        Forbidden: `scope-missing`, `mode-mismatch`, `personal-key-needed`, `role-missing`.
        NotFound: `unknown-person`, `unknown-contact`.
    """
    principal.require(Scope.MATTER_WRITE)
    if principal.kind is not KeyKind.PERSONAL:
        raise Forbidden("personal-key-needed", "Only an officer's personal key can lift a flag.")
    if not principal.roles & WORKING_ROLES:
        raise Forbidden("role-missing", "This officer has no role that may lift a flag.")
    _find(tx, person_id, contact_id, principal)
    lift_flag(tx, contact_id, flag, source=SOURCE, actor=principal.actor, now=now)
    return flags_of(tx, [person_id]).get(contact_id, ())


def _find(tx: Tx, person_id: UUID, contact_id: UUID, principal: Principal) -> Row[tuple[UUID, str | None]]:
    row = tx.conn.execute(
        text(
            "select p.matter_id, c.kind from person p left join contact_point c"
            "   on c.agency_id = p.agency_id and c.person_id = p.person_id and c.contact_id = :contact"
            " where p.agency_id = :agency and p.person_id = :person"
        ),
        {"agency": tx.agency_id, "person": person_id, "contact": contact_id},
    ).one_or_none()
    if row is None:
        raise NotFound("unknown-person", "There is no such person.")
    find_matter(tx, row.matter_id, principal)
    if row.kind is None:
        raise NotFound("unknown-contact", "This person has no such contact point.")
    return row
