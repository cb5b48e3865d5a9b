"""A desk whose letters go to Lob."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from notifier.bootstrap import wire
from notifier.carriers import open_carrier
from notifier.carriers.timetable import Rate
from notifier.core.model import Channel
from notifier.core.person_row import PersonRow
from notifier.usecases.breaker import Breaker, rules_of
from notifier.usecases.dispatch import Sender
from notifier.usecases.pace import Pace
from notifier.usecases.places import Places
from notifier.usecases.posting import prepare_letters
from notifier.usecases.recall import Asked, withdraw_stopped
from notifier.usecases.reconcile import reconcile
from notifier.usecases.stops import lift_stops, place_stop
from tests.usecases.desk import ADDRESS, QUICK, Desk, now, person

FAST = Rate(per_second=1000, burst=1000, alone_per_second=1000)


@dataclass
class PostDesk(Desk):
    """A desk whose letters go to Lob."""

    asked: Asked = field(default_factory=Asked)

    def sender(self, channel: Channel, **changes: object) -> Sender:
        if channel is not Channel.LETTER:
            return super().sender(channel, **changes)
        quick = wire("lob_letter").model_copy(update={**QUICK, "rate": FAST, **changes})
        lob = open_carrier("lob_letter", base_url=f"{self.sandbox.url}/v1", api_key=self.sandbox.lob_key, wire=quick)
        service = self.service
        return Sender(
            service.db,
            service.vault,
            service.renderer,
            lob,
            quick,
            Places(quick),
            Pace(None, carrier="lob_letter", sender="us", rate=quick.rate),
            Breaker(None, carrier="lob_letter", rules=rules_of(quick)),
            prepare=prepare_letters,
        )

    def post(self) -> int:
        """Write and post what is due."""
        return self.send(Channel.LETTER)

    def follow_post(self) -> None:
        """Post, take in what comes back, apply it."""
        self.post()
        self.receive()
        self.apply()

    def ask(self) -> None:
        """Ask Lob about letters whose answer was lost, as if it were time."""

        async def work() -> None:
            sender = self.sender(Channel.LETTER)
            try:
                await reconcile(self.office.agency_id, sender=sender, packs=self.service.packs, now=now())
            finally:
                await sender.carrier.close()

        with self.tx() as tx:
            tx.conn.execute(text("update attempt set check_at = now() where status = 'unknown'"))
        asyncio.run(work())

    def withdraw(self) -> int:
        """Take back what a stop holds."""

        async def work() -> int:
            sender = self.sender(Channel.LETTER)
            try:
                return await withdraw_stopped(self.office.agency_id, sender=sender, asked=self.asked, now=now())
            finally:
                await sender.carrier.close()

        return asyncio.run(work())

    def stop(self, matter_id: UUID) -> None:
        with self.tx() as tx:
            place_stop(tx, matter_id=matter_id, reason="A mistake", principal=self.office.uploader, now=now())

    def go_on(self, matter_id: UUID) -> None:
        for principal in (self.office.uploader, self.office.approver):
            with self.tx() as tx:
                lift_stops(tx, matter_id, principal=principal, now=now())

    def made(self, matter_id: UUID) -> list[dict[str, Any]]:
        """The letters that Lob made for a matter, by its own record."""
        ours = set(map(str, self.attempt_ids(matter_id)))
        return [line for line in self.sandbox.record(carrier="lob", kind="taken") if line["attempt"] in ours]


def at(outcome: str = "", **more: Any) -> PersonRow:
    """Somebody whose street is the sandbox's outcome."""
    line = " ".join(f"100 {outcome} Example Street".split())
    return person(post={**ADDRESS, "lines": [line], **more})
