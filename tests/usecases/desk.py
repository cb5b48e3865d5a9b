"""An agency at work in one process: the real use cases, PostgreSQL, carrier SDKs and sandbox; no web server, no queue.

Tests say when a handful is sent, when what carriers posted comes in, and when it is applied, so that they can put these
in any order.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from notifier.bootstrap import wire
from notifier.carriers import open_carrier
from notifier.carriers.base import Callback
from notifier.carriers.timetable import Retry, Wire
from notifier.core.ledger import timestamp
from notifier.core.model import Channel, Mode
from notifier.core.person_row import PersonRow
from notifier.service import Service
from notifier.store.engine import Tx
from notifier.store.ledger import read_chain, verify
from notifier.usecases.access import Principal
from notifier.usecases.applying import apply_receipts
from notifier.usecases.approve import Approved, approve_sending
from notifier.usecases.breaker import Breaker, rules_of
from notifier.usecases.clock import catch_up, queues_with_work
from notifier.usecases.clock_offset import advance_clock
from notifier.usecases.dispatch import Sender, dispatch
from notifier.usecases.escalation import look
from notifier.usecases.intake import NewMatter, create_matter
from notifier.usecases.letters import Mailroom, compose_letters
from notifier.usecases.mailroom import close_batch
from notifier.usecases.pace import Pace
from notifier.usecases.people import ListReceived, add_people
from notifier.usecases.places import Places
from notifier.usecases.receipts import Stored
from tests.installation import DEMAND, Office
from tests.sandbox import MAILBOX, NUMBER, Catcher, Sandbox
from tests.told import store_receipts
from tests.usecases.replay import batches_replayed, flags_replayed, replayed, returns_replayed, tasks_replayed

QUICK: Mapping[str, Any] = {
    "ahead": 0,
    "timeout_seconds": 1.5,
    "connect_timeout_seconds": 1.0,
    "retry": Retry(tries=3, first_delay_seconds=0.001, factor=1, cap_seconds=0.001),
}


@dataclass
class Desk:
    """One office with everything it needs."""

    service: Service
    office: Office
    sandbox: Sandbox
    catcher: Catcher
    seen: int = field(default=0)

    def tx(self) -> AbstractContextManager[Tx]:
        return self.service.db.transaction(self.office.agency_id)

    # What officers do.

    def matter(self, *people: PersonRow, external_id: str | None = None, packs: Sequence[str] = ()) -> UUID:
        new = NewMatter(external_id or str(uuid4()), DEMAND, tuple(packs))
        with self.tx() as tx:
            return create_matter(
                tx,
                new,
                people,
                principal=self.office.uploader,
                packs=self.service.packs,
                edition="2026-11",
                body_digest=b"digest",
                vault=self.service.vault,
                now=now(),
            ).matter_id

    def add(self, matter_id: UUID, people: Iterable[PersonRow], *, principal: Principal | None = None) -> ListReceived:
        with self.tx() as tx:
            return add_people(
                tx,
                matter_id,
                people,
                format="ndjson",
                body_digest=b"digest",
                principal=principal or self.office.uploader,
                vault=self.service.vault,
                now=now(),
            )

    def approve(
        self,
        matter_id: UUID,
        *,
        principal: Principal | None = None,
        carriers_are_real: bool = False,
        lists: Sequence[UUID] | None = None,
    ) -> Approved:
        with self.tx() as tx:
            return approve_sending(
                tx,
                matter_id,
                principal=principal or self.office.approver,
                packs=self.service.packs,
                carrier_of=self.service.carrier_of,
                carriers_are_real=carriers_are_real,
                vault=self.service.vault,
                lists=lists,
                now=now(),
            )

    def approved(self, *people: PersonRow) -> UUID:
        """A matter with these people, approved."""
        matter_id = self.matter(*people)
        self.approve(matter_id)
        return matter_id

    # What workers do.

    def send(
        self,
        *channels: Channel,
        workers: int = 1,
        modes: Sequence[Mode] = tuple(Mode),
        handfuls: int | None = None,
        **changes: object,
    ) -> int:
        """Send what is due, with so many workers at once; returns how many attempts they claimed.

        `handfuls` is how many each takes at most; `changes` are made to the carrier's timetable.
        """

        async def work() -> int:
            made = [self.sender(channel, **changes) for channel in channels for _ in range(workers)]
            senders = [replace(sender, modes=modes) for sender in made]
            try:
                return sum(await asyncio.gather(*(self._send(sender, handfuls) for sender in senders)))
            finally:
                for sender in senders:
                    await sender.carrier.close()

        return asyncio.run(work())

    async def _send(self, sender: Sender, handfuls: int | None) -> int:
        count = taken = 0
        while taken != handfuls and (claimed := await dispatch(self.office.agency_id, sender=sender, now=now())):
            count += claimed
            taken += 1
        return count

    def dispatch(self, change: Callable[[Sender], Sender], **changes: object) -> int:
        """Send one handful of text messages with a sender that is changed first."""

        async def work() -> int:
            sender = self.sender(Channel.SMS, **changes)
            try:
                return await dispatch(self.office.agency_id, sender=change(sender), now=now())
            finally:
                await sender.carrier.close()

        return asyncio.run(work())

    def sender(self, channel: Channel, **changes: object) -> Sender:
        """A sender with short time-outs; call it inside a running loop."""
        slug = self.service.carrier_of[channel]
        quick: Wire = wire(slug).model_copy(update={**QUICK, **changes})
        if channel is Channel.SMS:
            carrier = open_carrier(
                slug,
                base_url=self.sandbox.url,
                account_sid=self.sandbox.account_sid,
                auth_token=self.sandbox.auth_token,
                sender=NUMBER,
                public_base_url=self.catcher.url(),
                wire=quick,
            )
        else:
            carrier = open_carrier(
                slug,
                base_url=self.sandbox.url,
                api_key=self.sandbox.api_key,
                sender=MAILBOX,
                sender_name="",
                wire=quick,
            )
        service = self.service
        return Sender(
            service.db,
            service.vault,
            service.renderer,
            carrier,
            quick,
            Places(quick),
            Pace(None, carrier=slug, sender=NUMBER, rate=quick.rate),
            Breaker(None, carrier=slug, rules=rules_of(quick)),
        )

    def mailroom(self) -> Mailroom:
        return Mailroom(self.service.vault, self.service.renderer)

    def compose(self) -> int:
        with self.tx() as tx:
            return compose_letters(tx, mailroom=self.mailroom(), now=now())

    def close_batch(self) -> UUID | None:
        with self.tx() as tx:
            return close_batch(tx, mailroom=self.mailroom(), now=now())

    def print(self) -> UUID | None:
        """Write every due letter and close the batch."""
        while self.compose():
            pass
        return self.close_batch()

    def receive(self) -> Stored:
        """Take in everything that carriers have posted to this agency since the last time."""
        self.sandbox.settle()
        caught, self.seen = self.catcher.caught[self.seen :], len(self.catcher.caught)
        stored = [
            self.take(callback) for callback in caught if str(self.office.agency_id) in f"{callback!r}{callback.body!r}"
        ]
        return Stored(*(sum(getattr(one, name) for one in stored) for name in ("stored", "duplicates", "quarantined")))

    def take(self, callback: Callback) -> Stored:
        """Take in one callback."""
        reader = self.service.readers[callback.url.partition("/callbacks/")[2].partition("?")[0]]
        reader.authenticate(callback)
        receipts = reader.parse(callback)
        return store_receipts(self.service.db, receipts, callback, carrier=reader.slug, vault=self.service.vault)

    def apply(self) -> int:
        """Apply every stored receipt; returns how many there were."""
        count = 0
        while True:
            with self.tx() as tx:
                taken = apply_receipts(tx, vault=self.service.vault, now=now())
            if not taken:
                return count
            count += taken

    def follow(self) -> None:
        """Send text messages and emails, take in what comes back, apply it."""
        self.send(Channel.SMS, Channel.EMAIL)
        self.receive()
        self.apply()

    def tick(self, number: int = 0) -> list[str]:
        """One tick of the clock, by default one that does everything; returns the queues that have work after it."""
        service = self.service
        catch_up(
            service.db,
            self.office.agency_id,
            vault=service.vault,
            timetables=service.timetables,
            now=now(),
            tick=number,
        )
        with self.tx() as tx:
            return queues_with_work(tx, self.service.timetables)

    def look(self) -> int:
        """Look at every plan whose time has come; returns how many."""
        service, count = self.service, 0
        while looked := look(
            service.db,
            self.office.agency_id,
            packs=service.packs,
            carrier_of=service.carrier_of,
            vault=service.vault,
            now=now(),
        ):
            count += looked
        return count

    def advance(self, matter_id: UUID, **by: float) -> None:
        """Walk a matter's clock, and look at what is sent next."""
        with self.tx() as tx:
            advance_clock(tx, matter_id, timedelta(**by), now=now())
        self.look()

    # What is to be seen.

    def rows(self, query: str, **values: object) -> Sequence[Any]:
        """Rows of this agency; `query` is ours."""
        with self.tx() as tx:
            return tx.conn.execute(text(query), {"agency": self.office.agency_id, **values}).all()

    def one(self, query: str, **values: object) -> Any:
        return self.rows(query, **values)[0][0]

    def statuses(self, matter_id: UUID) -> Counter[str]:
        rows = self.rows("select status, count(*) from attempt where matter_id = :matter group by 1", matter=matter_id)
        return Counter({row.status: row.count for row in rows})

    def attempt_ids(self, matter_id: UUID) -> list[UUID]:
        rows = self.rows("select attempt_id from attempt where matter_id = :matter order by 1", matter=matter_id)
        return [row.attempt_id for row in rows]

    def only_attempt(self, matter_id: UUID) -> Any:
        (row,) = self.rows("select * from attempt where matter_id = :matter", matter=matter_id)
        return row

    def events(self, matter_id: UUID) -> Counter[str]:
        return Counter(row.type for row in self.rows("select type from event where chain_id = :chain", chain=matter_id))

    def said(self, matter_id: UUID, event_type: str) -> list[dict[str, Any]]:
        """The events of one type in a matter, as they stand in the ledger."""
        with self.tx() as tx:
            leaves = [json.loads(body) for body in read_chain(tx, matter_id)]
        return [leaf for leaf in leaves if leaf["type"] == event_type]

    def taken(self, matter_id: UUID) -> Counter[str]:
        """How often the carriers took each attempt of a matter, by their own record."""
        ours = set(map(str, self.attempt_ids(matter_id)))
        return Counter(line["attempt"] for line in self.sandbox.record(kind="taken") if line["attempt"] in ours)

    def make_due(self) -> None:
        """Let every planned attempt be due at once."""
        with self.tx() as tx:
            tx.conn.execute(text("update attempt set due_at = now() where status = 'planned'"))

    def check_everything(self) -> None:
        """Every chain of the agency verifies, and the ledger alone says what attempts, flags, tasks and batches are."""
        with self.tx() as tx:
            chains = tx.conn.execute(text("select chain_id from chain")).scalars().all()
            for chain_id in chains:
                verify(tx, chain_id)
            bodies = [body for chain_id in chains for body in read_chain(tx, chain_id)]
            said, flagged = replayed(bodies), flags_replayed(bodies)
            rows = tx.conn.execute(text("select * from attempt")).all()
            flags = tx.conn.execute(text("select contact_id, flag from contact_flag where lifted_at is null")).all()
            tasks = tx.conn.execute(text(TASKS)).all()
            returns = tx.conn.execute(text(RETURNS)).all()
            batches = tx.conn.execute(text(BATCHES)).all()
        found = {
            str(row.attempt_id): (
                row.status if row.status != "sending" else "planned",
                row.carrier_ref,
                str(row.batch_id) if row.batch_id else None,
            )
            for row in rows
        }
        assert found == said
        assert {(str(flag.contact_id), flag.flag) for flag in flags} == flagged
        assert _plain(tasks) == tasks_replayed(bodies)
        assert _plain(returns) == returns_replayed(bodies)
        assert _plain(batches) == batches_replayed(bodies)


TASKS = "select task_id, kind, subject_id, person_id, opened_at, due_at, resolution, done_by from task"
RETURNS = "select attempt_id, usps_reason, returned_on, forwarded_to, remailed_as from returned_piece"
BATCHES = (
    "select batch_id, service, pieces, withdrawn, mailed_on, place, voided_at is not null, alarmed_at is not null"
    " from print_batch"
)


def _plain(rows: Iterable[Any]) -> dict[str, tuple[object, ...]]:
    """Rows by their first column, as the ledger writes what stands in them."""
    return {str(row[0]): tuple(map(_written, row[1:])) for row in rows}


def _written(value: object) -> object:
    if isinstance(value, datetime):
        return timestamp(value)
    return str(value) if isinstance(value, UUID | date) else value


def now() -> datetime:
    return datetime.now(UTC)


def person(external_id: str = "", **fields: Any) -> PersonRow:
    """A made-up person: `phone`, `email` and `post` are contact points, the rest as a list has it."""
    contacts: list[dict[str, Any]] = []
    for kind in ("phone", "email"):
        values = fields.pop(kind, ())
        contacts += [{"kind": kind, "value": value} for value in ([values] if isinstance(values, str) else values)]
    if address := fields.pop("post", None):
        contacts.append({"kind": "post", "address": ADDRESS if address is True else address})
    row = {"external_id": external_id or str(uuid4()), "name": "Sample Person", "language": "en", "contacts": contacts}
    return PersonRow.model_validate({**row, **fields})


ADDRESS = {"lines": ["100 Example Street"], "city": "Denver", "region": "CO", "postal_code": "80203", "country": "US"}


def phone(outcome: int, *, area: int = 303) -> str:
    """A number of fiction whose last two digits are the sandbox's outcome."""
    return f"+1{area}55501{outcome:02d}"


def mailbox(outcome: str = "delivered") -> str:
    """A mailbox of nobody, whose first word is the sandbox's outcome."""
    return f"{outcome}.{uuid4().hex[:8]}@example.org"


def later(callback: Callback, **by: float) -> Callback:
    """The same callback, received later."""
    return replace(callback, received_at=callback.received_at + timedelta(**by))
