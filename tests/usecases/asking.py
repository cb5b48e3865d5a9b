"""Asking a carrier about messages that it gave no clear answer about."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from notifier.carriers.base import Carrier, Finding, Found, Message, Outcome, SendResult, Sought
from notifier.core.model import Channel
from notifier.core.policy import Packs
from notifier.usecases.clock_offset import advance_clock
from notifier.usecases.dispatch import Sender
from notifier.usecases.reconcile import reconcile
from tests.usecases.desk import Desk, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL
SWEEP, RESEND = timedelta(minutes=30), timedelta(hours=4, minutes=30)  # Twilio's, of config/carriers.toml


def ask(
    desk: Desk,
    channel: Channel = SMS,
    *,
    change: Callable[[Sender], Sender] = lambda sender: sender,
    packs: Packs | None = None,
) -> int:
    """Ask about what is due; returns how many attempts were."""

    async def work() -> int:
        sender = desk.sender(channel, timeout_seconds=5)
        try:
            return await reconcile(
                desk.office.agency_id, sender=change(sender), packs=packs or desk.service.packs, now=now()
            )
        finally:
            await sender.carrier.close()

    return asyncio.run(work())


def later(desk: Desk, matter_id: UUID, by: timedelta) -> None:
    with desk.tx() as tx:
        advance_clock(tx, matter_id, by, now=now())


def lost(desk: Desk, *outcomes: int) -> UUID:
    """A matter with a person for each of the sandbox's outcomes, sent and with no clear answer."""
    matter_id = desk.approved(*(person(phone=phone(outcome)) for outcome in outcomes))
    desk.send(SMS)
    assert desk.statuses(matter_id) == {"unknown": len(outcomes)}
    return matter_id


def without_resend(desk: Desk) -> Packs:
    return {slug: replace(pack, resend_unknown=0) for slug, pack in desk.service.packs.items()}


class Knowing:
    """A carrier that has its own answer for each message that is sought."""

    slug, channel = "twilio_sms", SMS

    def __init__(self, answer: Callable[[Sought], Found]) -> None:
        self._answer = answer
        self.sought: list[Sought] = []

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        return [SendResult(message.attempt_id, Outcome.HANDED_OVER) for message in messages]

    async def find(self, sought: Sequence[Sought]) -> list[Found]:
        self.sought += sought
        return [self._answer(one) for one in sought]

    async def close(self) -> None:
        """It has nothing."""


def knowing(finding: Finding, **more: Any) -> Knowing:
    return Knowing(lambda one: Found(one.message.attempt_id, finding, **more))


def with_carrier(carrier: Carrier) -> Callable[[Sender], Sender]:
    return lambda sender: replace(sender, carrier=carrier)
