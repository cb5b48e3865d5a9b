"""What follows when a letter has come back: the address is marked, another letter goes out, or a caseworker is asked.

Each address gets a letter of a notice once; one more, as plain first-class mail, where a certified letter was not
accepted. Nothing is ever mailed again to an address that two letters came back from.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, text, update

from notifier.core.business_days import business_day_after, end_of
from notifier.core.contacts import blind_form, post
from notifier.core.events import EventType
from notifier.core.ledger import Json, timestamp
from notifier.core.model import (
    Channel,
    ContactFlag,
    ContactKind,
    PostalAddress,
    PostService,
    Resolution,
    TaskKind,
)
from notifier.core.returned_mail import (
    RULES,
    Mailing,
    UspsReason,
    flag_of,
    is_confidential_substitute,
    needs_a_human,
    next_mailing,
)
from notifier.store import tables as t
from notifier.store.attempts import NewAttempt, database_now, open_work, plan_attempts
from notifier.store.engine import Tx
from notifier.store.ledger import append, draft, sealed_draft
from notifier.store.vault import Vault
from notifier.usecases.access import Principal
from notifier.usecases.contact_flags import flag_contact
from notifier.usecases.office import zone_of
from notifier.usecases.tasks import open_task, settle_task

SOURCE: Final = "forwarding"
PLAIN_ROW: Final = "returned_mail"  # no row of a plan: the first-class letter that follows a certified one
DUE_BUSINESS_DAYS: Final = 2

Letter = Row[Any]


@dataclass(frozen=True, slots=True)
class Follow:
    """The contact point that the post named, and the letter that goes out at once."""

    forwarded_to: UUID | None = None
    remailed_as: UUID | None = None


def follow_up(
    tx: Tx,
    letter: Letter,
    reason: UspsReason,
    *,
    to: UUID | None,
    principal: Principal,
    now: datetime,
    at: datetime,
    today: date,
) -> Follow:
    """Do what a returned letter asks for; its matter's chain is held. `at` and `today` are on the matter's clock.

    `to` is the contact point with the address that the post named (`keep_address`).

    (1) decide; (2) mark the address that it came back from, and the phones of somebody who has died; (3) order the
    letter that follows; (4) ask a caseworker where no letter does.
    """
    mailing = next_mailing(  # (1)
        reason,
        PostService(letter.service or PostService.FIRST_CLASS),
        can_forward=to is not None and _is_new_ground(tx, letter, to),
        is_first_return=not _came_back_before(tx, letter),
        plain_mail_went=_plain_mail_went(tx, letter),
    )
    flag = flag_of(reason, has_moved=to is not None and to != letter.contact_id)
    if flag is not None:  # (2)
        flag_contact(tx, letter.contact_id, flag, source=letter.attempt_id, actor=principal.actor, now=now)
    if RULES[reason].stops_texts:
        for contact_id in _phones(tx, letter.person_id):
            flag_contact(tx, contact_id, ContactFlag.DECEASED, source=letter.attempt_id, actor=principal.actor, now=now)
    remailed_as = _order(tx, letter, mailing, to, principal=principal, now=now, at=at)  # (3)
    if needs_a_human(reason, mailing):  # (4)
        due_at = end_of(business_day_after(today, DUE_BUSINESS_DAYS), zone_of(tx)) - (at - now)
        open_task(
            tx,
            TaskKind.MAIL_RETURNED,
            subject_id=letter.attempt_id,
            matter_id=letter.matter_id,
            person_id=letter.person_id,
            due_at=due_at,
            actor=principal.actor,
            now=now,
        )
    else:
        settle_task(
            tx,
            TaskKind.MAIL_RETURNED,
            subject_id=letter.attempt_id,
            resolution=Resolution.MENDED,
            principal=principal,
            now=now,
        )
    return Follow(to, remailed_as)


def confidential(tx: Tx, person_id: UUID, *, vault: Vault) -> bool:
    """Whether a person has a substitute address of the confidentiality program: no other is to be learned of them.

    That holds whichever of their addresses the letter went to: the label may name where they really live.
    """
    rows = tx.conn.execute(
        text(
            "select contact_id, sealed from contact_point"
            " where agency_id = :agency and person_id = :person and kind = 'post'"
        ),
        {"agency": tx.agency_id, "person": person_id},
    ).all()
    cipher = vault.cipher(tx, person_id)
    opened = [json.loads(cipher.open(row.sealed, "contact_point.sealed", row.contact_id)) for row in rows]
    addresses = [kept["address"] for kept in opened if kept.get("address")]
    return any(
        is_confidential_substitute(PostalAddress(**(address | {"lines": tuple(address["lines"])})))
        for address in addresses
    )


def _phones(tx: Tx, person_id: UUID) -> list[UUID]:
    return list(
        tx.conn.execute(
            text(
                "select contact_id from contact_point"
                " where agency_id = :agency and person_id = :person and kind = 'phone' order by contact_id"
            ),
            {"agency": tx.agency_id, "person": person_id},
        ).scalars()
    )


def keep_address(
    tx: Tx, letter: Letter, forwarding: PostalAddress, *, principal: Principal, vault: Vault, at: datetime
) -> UUID:
    """The person's contact point with the address that the post named: one that is known, or a new one."""
    point = post(forwarding)
    blind = vault.blind(tx.agency_id, "contact_point", blind_form(point))
    known = tx.conn.execute(
        text(
            "select contact_id from contact_point where agency_id = :agency and blind = :blind and person_id = :person"
            " order by contact_id limit 1"
        ),
        {"agency": tx.agency_id, "blind": blind, "person": letter.person_id},
    ).scalar_one_or_none()
    if known is not None:
        return UUID(str(known))
    contact_id = uuid4()
    cipher = vault.cipher(tx, letter.person_id)
    value = json.dumps({"value": point.value, "address": asdict(point.address or forwarding)}).encode()
    tx.conn.execute(
        text(
            "insert into contact_point (agency_id, contact_id, person_id, recipient_id, kind, blind, sealed, source)"
            " select c.agency_id, :contact, c.person_id, c.recipient_id, c.kind, :blind, :sealed, :source"
            " from contact_point c where c.agency_id = :agency and c.contact_id = :returned"
        ),
        {
            "agency": tx.agency_id,
            "contact": contact_id,
            "blind": blind,
            "sealed": cipher.seal(value, "contact_point.sealed", contact_id),
            "source": SOURCE,
            "returned": letter.contact_id,
        },
    )
    said: dict[str, Json] = {"contact": str(contact_id), "kind": ContactKind.POST.value, "source": SOURCE}
    added = sealed_draft(
        cipher,
        EventType.CONTACT_ADDED,
        principal.actor,
        said,
        person=letter.person_id,
        values={"contact": value},
    )
    append(tx, letter.matter_id, [added], at=at)
    return contact_id


def _is_new_ground(tx: Tx, letter: Letter, contact_id: UUID) -> bool:
    """Whether no letter of this notice went to an address, and nothing is known against it."""
    row = tx.conn.execute(
        text(
            "select from contact_point c where c.agency_id = :agency and c.contact_id = :contact and c.problem is null"
            " and not exists (select from contact_flag f where f.agency_id = c.agency_id"
            "  and f.contact_id = c.contact_id and f.lifted_at is null)"
            " and not exists (select from attempt a where a.agency_id = c.agency_id and a.notice_id = :notice"
            "  and a.person_id = c.person_id and a.contact_id = c.contact_id and a.channel = 'letter')"
        ),
        {"agency": tx.agency_id, "contact": contact_id, "notice": letter.notice_id},
    ).first()
    return row is not None


def _came_back_before(tx: Tx, letter: Letter) -> bool:
    """Whether another letter came back from the same address."""
    row = tx.conn.execute(
        text(
            "select from attempt a where a.agency_id = :agency and a.person_id = :person and a.contact_id = :contact"
            " and a.status = 'returned' and a.attempt_id <> :attempt limit 1"
        ),
        {
            "agency": tx.agency_id,
            "person": letter.person_id,
            "contact": letter.contact_id,
            "attempt": letter.attempt_id,
        },
    ).first()
    return row is not None


def _plain_mail_went(tx: Tx, letter: Letter) -> bool:
    """Whether a first-class letter of this notice is planned, on its way or delivered to the same address."""
    row = tx.conn.execute(
        text(
            "select from attempt a where a.agency_id = :agency and a.person_id = :person and a.contact_id = :contact"
            " and a.notice_id = :notice and a.channel = 'letter' and coalesce(a.service, 'first_class') = 'first_class'"
            " and a.attempt_id <> :attempt and a.status not in ('failed', 'cancelled') limit 1"
        ),
        {
            "agency": tx.agency_id,
            "person": letter.person_id,
            "contact": letter.contact_id,
            "notice": letter.notice_id,
            "attempt": letter.attempt_id,
        },
    ).first()
    return row is not None


def _order(
    tx: Tx, letter: Letter, mailing: Mailing, to: UUID | None, *, principal: Principal, now: datetime, at: datetime
) -> UUID | None:
    """Plan the letter that follows, by the carrier and for the notice of the one that came back.

    It is plain mail, also where the first was certified: at a new address too certified mail never goes alone. A
    certified letter follows there when the plan still wants one.
    """
    if mailing is Mailing.NONE:
        return None
    is_forward = mailing is Mailing.FORWARDED and to is not None
    is_same = is_forward and letter.service != PostService.CERTIFIED
    service = PostService.FIRST_CLASS
    new = NewAttempt(
        uuid4(),
        letter.notice_id,
        letter.person_id,
        to if is_forward and to is not None else letter.contact_id,
        letter.plan_row if is_same else PLAIN_ROW,  # the same row: a plan makes one attempt of it at each address
        Channel.LETTER,
        letter.carrier,
        database_now(tx),
        service,
    )
    plan_attempts(tx, letter.matter_id, [new], now=now)
    tx.conn.execute(
        update(t.attempt)
        .where(t.attempt.c.agency_id == tx.agency_id, t.attempt.c.attempt_id == new.attempt_id)
        .values(linked_from=letter.attempt_id)
    )
    open_work(tx, letter.matter_id, [Channel.LETTER])
    said: dict[str, Json] = {
        "attempt": str(new.attempt_id),
        "notice": str(new.notice_id),
        "channel": new.channel.value,
        "contact": str(new.contact_id),
        "linked_from": str(letter.attempt_id),
        "plan_row": new.plan_row,
        "service": service.value,
        "due": timestamp(new.due_at),
    }
    append(
        tx, letter.matter_id, [draft(EventType.ATTEMPT_ORDERED, principal.actor, said, person=letter.person_id)], at=at
    )
    return new.attempt_id
