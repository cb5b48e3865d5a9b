"""What a stop takes back from a carrier, when many letters are under way or not everything can be written down."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy.exc import OperationalError

from notifier.bootstrap import wire
from notifier.carriers.base import Message, Recall, SendResult
from notifier.core.model import Actor, ActorKind, Channel
from notifier.core.status import AttemptEvent
from notifier.store.engine import Database, Tx
from notifier.usecases.progress import Change, record
from notifier.usecases.recall import Asked, withdraw_stopped
from notifier.usecases.stops import place_stop
from tests.usecases.desk import Desk, now, person

LOB = Actor(ActorKind.CARRIER, "lob_letter")


@dataclass
class Giving:
    """A carrier that gives everything back but what it has in the post already."""

    slug: str = "lob_letter"
    channel: Channel = Channel.LETTER
    too_late: set[str] = field(default_factory=set)

    async def cancel(self, carrier_ref: str) -> Recall:
        return Recall.TOO_LATE if carrier_ref in self.too_late else Recall.WITHDRAWN

    async def send(self, _: Sequence[Message]) -> list[SendResult]:
        return []

    async def close(self) -> None:
        """It has nothing."""


class Stumbling(Database):
    """A database that fails once for each of these errors, after what is looked for was found."""

    def __init__(self, db: Database, errors: Sequence[Exception]) -> None:
        self.engine = db.engine
        self._errors = [None, *errors]

    @contextmanager
    def transaction(self, agency_id: UUID) -> Iterator[Tx]:
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        with super().transaction(agency_id) as tx:
            yield tx


def posted(desk: Desk, count: int = 1) -> tuple[UUID, list[str]]:
    """A stopped matter whose letters a carrier was given a moment ago, and the carrier's ids, oldest first."""
    matter_id = desk.approved(*(person(post=True) for _ in range(count)))
    desk.rows("update attempt set carrier = 'lob_letter' where matter_id = :m returning 1", m=matter_id)
    refs = []
    for attempt_id in desk.attempt_ids(matter_id):
        refs.append(f"ltr_{attempt_id.hex}")
        change = Change(attempt_id, AttemptEvent.HANDED_OVER, LOB, carrier_ref=refs[-1])
        with desk.tx() as tx:
            record(tx, matter_id, [change], now=now())
    with desk.tx() as tx:
        place_stop(tx, matter_id=matter_id, reason="A mistake", principal=desk.office.uploader, now=now())
    return matter_id, refs


def withdraw(desk: Desk, carrier: Giving, asked: Asked, *, errors: Sequence[Exception] = (), at_once: int = 200) -> int:
    async def work() -> int:
        made = desk.sender(Channel.SMS)
        db = Stumbling(made.db, errors)
        sender = replace(made, carrier=carrier, wire=wire("lob_letter"), db=db)
        try:
            agency_id = desk.office.agency_id
            return await withdraw_stopped(agency_id, sender=sender, asked=asked, now=now(), at_once=at_once)
        finally:
            await made.carrier.close()

    return asyncio.run(work())


def test_letters_that_are_in_the_post_already_keep_no_others_from_being_taken_back(desk: Desk) -> None:
    matter_id, refs = posted(desk, 4)
    carrier, asked = Giving(too_late=set(refs[:2])), Asked()
    assert [withdraw(desk, carrier, asked, at_once=2) for _ in range(3)] == [0, 2, 0]
    assert desk.statuses(matter_id) == {"handed_over": 2, "planned": 2}


def test_what_was_given_back_is_written_down_when_the_database_is_back(desk: Desk) -> None:
    matter_id, _ = posted(desk)
    assert withdraw(desk, Giving(), Asked(), errors=[OperationalError("", {}, Exception())] * 2) == 1
    assert desk.statuses(matter_id) == {"planned": 1}


def test_a_letter_that_cannot_be_written_down_costs_its_own_matter_only(desk: Desk) -> None:
    matters = [posted(desk)[0] for _ in range(3)]
    assert withdraw(desk, Giving(), Asked(), errors=[ValueError()]) == 2
    assert sorted(str(dict(desk.statuses(matter_id))) for matter_id in matters) == [
        "{'handed_over': 1}",
        "{'planned': 1}",
        "{'planned': 1}",
    ]
