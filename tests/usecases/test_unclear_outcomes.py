"""What may have been sent is unknown, and never sent again: a carrier hangs, a worker dies, an answer comes late."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.carriers.base import Carrier, Message, SendResult
from notifier.core.model import Channel
from notifier.store.attempts import claim
from notifier.usecases.dispatch import dispatch
from tests.usecases.around import Died, let_leases_end
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL


@pytest.mark.parametrize(
    "told",
    [
        {"phone": phone(72)},
        {"phone": phone(77)},
        {"phone": phone(79)},
        {"phone": phone(84)},
        {"email": mailbox("timeout-but-sent")},
        {"email": mailbox("error-but-sent")},
        {"email": mailbox("reset-but-sent")},
    ],
    ids=["sms hangs", "sms 503", "sms cut", "sms garbled", "email hangs", "email 503", "email cut"],
)
def test_what_may_have_been_sent_is_unknown_until_a_receipt_tells(desk: Desk, told: dict[str, str]) -> None:
    matter_id = desk.approved(person(**told))
    desk.send(SMS, EMAIL)
    assert desk.statuses(matter_id) == {"unknown": 1}
    desk.make_due()
    assert desk.send(SMS, EMAIL) == 0
    desk.receive()
    desk.apply()
    assert desk.statuses(matter_id) == {"delivered": 1}
    assert set(desk.taken(matter_id).values()) == {1}


@pytest.mark.parametrize(
    "told", [{"phone": phone(73)}, {"phone": phone(76)}, {"email": mailbox("timeout")}, {"email": mailbox("reset")}]
)
def test_what_may_have_been_sent_is_never_sent_again(desk: Desk, told: dict[str, str]) -> None:
    matter_id = desk.approved(person(**told))
    for _ in range(3):
        desk.send(SMS, EMAIL)
        desk.make_due()
        desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 1}
    assert desk.only_attempt(matter_id).tries == 1


def test_a_lost_workers_attempts_are_unknown_and_never_sent_again(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(3)))
    with desk.tx() as tx:
        assert len(claim(tx, SMS, chunk=2, lease=timedelta(seconds=-1))) == 2
    desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 2, "planned": 1}
    desk.follow()
    desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 2, "delivered": 1}
    assert sum(desk.taken(matter_id).values()) == 1


def test_a_lease_that_has_not_ended_is_respected(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    with desk.tx() as tx:
        claim(tx, SMS, chunk=2, lease=timedelta(seconds=90))
    desk.tick()
    assert desk.send(SMS) == 0
    assert desk.statuses(matter_id) == {"sending": 1}


class Crashing:
    """A carrier whose process dies after the vendor has everything and before anybody hears of it."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.slug, self.channel = carrier.slug, carrier.channel

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        await self._carrier.send(messages)
        raise Died

    async def close(self) -> None:
        await self._carrier.close()


def test_a_crash_between_the_carrier_and_our_record_doubles_nothing(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(n)) for n in range(4)))

    async def crash() -> None:
        sender = desk.sender(SMS)
        try:
            await dispatch(desk.office.agency_id, sender=replace(sender, carrier=Crashing(sender.carrier)), now=now())
        finally:
            await sender.carrier.close()

    with pytest.raises(Died):
        asyncio.run(crash())
    assert desk.statuses(matter_id) == {"sending": 4}
    let_leases_end(desk)
    desk.tick()
    assert desk.statuses(matter_id) == {"unknown": 4}
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 4}
    assert list(desk.taken(matter_id).values()) == [1] * 4


class Slow:
    """A carrier whose worker is given up before it answers."""

    def __init__(self, carrier: Carrier, desk: Desk) -> None:
        self._carrier, self._desk = carrier, desk
        self.slug, self.channel = carrier.slug, carrier.channel

    async def send(self, messages: Sequence[Message]) -> list[SendResult]:
        results = await self._carrier.send(messages)
        await asyncio.to_thread(let_leases_end, self._desk)
        await asyncio.to_thread(self._desk.tick)
        await asyncio.to_thread(self._desk.tick)
        return results

    async def close(self) -> None:
        await self._carrier.close()


def test_an_answer_after_the_lease_is_believed(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(phone=phone(74)), person(phone=phone(60)))

    async def late() -> None:
        sender = desk.sender(SMS)
        try:
            await dispatch(desk.office.agency_id, sender=replace(sender, carrier=Slow(sender.carrier, desk)), now=now())
        finally:
            await sender.carrier.close()

    asyncio.run(late())
    assert desk.events(matter_id)["attempt.lost_track"] == 3
    assert desk.statuses(matter_id) == {"handed_over": 1, "planned": 1, "failed": 1}
    desk.make_due()
    assert desk.tick() == ["sms"]
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 2, "failed": 1}
