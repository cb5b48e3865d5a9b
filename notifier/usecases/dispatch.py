"""Handing messages to their carriers.

One handful of attempts goes through these steps, numbered here and in the code:

(0) ask leave: this process is not about to end, the carrier is not resting, and its pace allows so many;
(1) claim: take due attempts under a lease, fair between matters, and few more than can leave at once;
(2) compose: write each text and keep it, sealed, before anything leaves; give back what a stop has come to hold;
(3) commit: from here on a lost worker means "unknown", never "send again";
(4) hand over: concurrently, on the worker's own loop, and never on a lease that is getting old;
(5) record: as answers come in, a few at a time, status and ledger together; and tell breaker and pace what they show.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from notifier.carriers.base import Carrier, SendResult
from notifier.carriers.timetable import FRESH_SECONDS, Wire
from notifier.core.breaker import Permit
from notifier.core.model import Mode
from notifier.render.renderer import Renderer
from notifier.store.attempts import claim, database_now, give_back, stopped_since
from notifier.store.bulk import in_chunks
from notifier.store.engine import AWAY, Database
from notifier.store.vault import Vault
from notifier.usecases.breaker import PROBE, Breaker
from notifier.usecases.compose import keep_texts, open_parcels
from notifier.usecases.handful import Handful, uptime
from notifier.usecases.leaving import Leaving
from notifier.usecases.night import wait_for_day
from notifier.usecases.outcomes import Happened, given_up, happened_to, lost, shows_at_work, slow_down, unsent
from notifier.usecases.pace import Pace
from notifier.usecases.places import Held, Places
from notifier.usecases.progress import Change, hand_back, record_all
from notifier.usecases.turns import Turns
from notifier.usecases.writing import Outgoing, write

RECORD_EVERY: Final = 0.5  # seconds between writes while answers come in
RECORD_AGAIN: Final = 0.5  # seconds until what happened is written down again, while the database is away
FRESH: Final = timedelta(seconds=FRESH_SECONDS)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sender:
    """What a worker needs to send on one channel, in one event loop."""

    db: Database
    vault: Vault
    renderer: Renderer
    carrier: Carrier
    wire: Wire
    places: Places
    pace: Pace
    breaker: Breaker
    modes: Collection[Mode] = tuple(Mode)  # test matters are left alone when the carrier is the real one
    prepare: "Prepare | None" = None  # steps (1) to (3); None: texts are written when they are claimed
    turns: Turns = field(default_factory=Turns)
    leaving: Leaving = field(default_factory=Leaving)

    @property
    def lease(self) -> timedelta:
        """How long a worker may hold what it has taken."""
        return timedelta(seconds=self.wire.lease_seconds)

    @property
    def is_resting(self) -> bool:
        """Whether asking for leave is no use now."""
        return self.breaker.is_resting or self.pace.wait_seconds > 0

    @property
    def rest_seconds(self) -> float:
        """For how long nothing will be sent whatever is due, as far as this process knows."""
        return max(self.breaker.rest_seconds, self.pace.wait_seconds)


Prepare = Callable[[UUID, Sender, int, datetime], Handful]
"""Claim up to so many attempts of one agency, ready to leave, and commit: agency, sender, how many, now."""


async def dispatch(agency_id: UUID, *, sender: Sender, now: datetime, until: float = math.inf) -> int:
    """Send one handful for one agency; returns how many attempts were claimed.

    `until` is on the monotonic clock: who still waits for places then begins nothing more.

    When this returns or raises, every call that it began has ended: nothing is sent later, past a stop.
    """
    async with sender.places.handful() as held:
        if time.monotonic() >= until:
            return 0
        handful = await asyncio.to_thread(_take, agency_id, sender, held.count, now)
        await held.free(held.count - len(handful.outgoing))
        sending = asyncio.create_task(_send(agency_id, handful, sender, held))
        try:
            await asyncio.shield(sending)
        finally:
            await asyncio.wait([sending])  # whoever gives up on us: what is under way is followed to its end
    return handful.claimed


def _take(agency_id: UUID, sender: Sender, places: int, now: datetime) -> Handful:
    """As many as have leave (0); what is not used of it is given back."""
    permit = Permit.NONE if sender.leaving.is_asked else sender.breaker.ask()
    tokens = 0
    if permit is not Permit.NONE:
        tokens = sender.pace.take(min(places, PROBE) if permit is Permit.PROBE else places)
    sent = 0
    try:
        if tokens == 0:
            return Handful(0, (), (), now, uptime())
        handful = (sender.prepare or _prepare)(agency_id, sender, tokens, now)
        sent = len(handful.outgoing)
    finally:
        sender.pace.give_back(tokens - sent)
        if not sent:
            sender.breaker.tell(permit, worked=False, failed=0)
    return replace(handful, permit=permit)


def _prepare(agency_id: UUID, sender: Sender, at_most: int, now: datetime) -> Handful:
    began = uptime()
    channel = sender.carrier.channel
    served = sender.turns.served_in(agency_id)
    with sender.db.transaction(agency_id) as tx:
        clock = database_now(tx)
        claimed = claim(tx, channel, chunk=at_most, lease=sender.lease, served=served, modes=sender.modes)  # (1)
        if not claimed:
            return Handful(0, (), (), clock, began)
        parcels, unopened = open_parcels(tx, claimed, vault=sender.vault, now=now)
        parcels = wait_for_day(tx, parcels, channel, clock=clock)
        written, unwritten = write(parcels, renderer=sender.renderer, channel=channel)  # (2)
        stopped = stopped_since(tx, channel, claimed)
        give_back(tx, [item for item in claimed if item.matter_id in stopped])
        outgoing = [item for item in written if item.parcel.claimed.matter_id not in stopped]
        keep_texts(tx, [(item.parcel, item.text) for item in outgoing])
    sender.turns.serve(agency_id, [item.matter_id for item in claimed])
    unsent = [item for item in (*unopened, *unwritten) if item.claimed.matter_id not in stopped]
    return Handful(len(claimed), outgoing, unsent, clock, began)  # (3)


async def _send(agency_id: UUID, handful: Handful, sender: Sender, held: Held) -> None:
    permit = handful.permit
    broken: BaseException | None = None
    await _record(agency_id, [given_up(item) for item in handful.unwritten], sender, handful)
    if sender.leaving.is_asked:
        await _hand_back(agency_id, handful, sender)
        return
    slices = in_chunks(handful.outgoing, sender.wire.batch)
    calls = {asyncio.create_task(_hand_over(slice_, handful, sender)): slice_ for slice_ in slices}
    try:
        while calls:
            done, _ = await asyncio.wait(calls, timeout=RECORD_EVERY)
            late = sender.leaving.is_late
            if late:
                done |= await _give_up_on(calls)
            ended = [(call, calls.pop(call)) for call in done]
            broken = next((error for call, _ in ended if (error := _error(call))), broken)
            answers = [call.result() for call, _ in ended if not call.cancelled() and not _error(call)]
            answers += [[lost(item) for item in slice_] for call, slice_ in ended if call.cancelled()]
            permit = await _learn(answers, sender, permit)
            await _record(agency_id, _happened(answers, handful, sender), sender, handful)  # (5)
            await held.free(sum(map(len, answers)))
    finally:
        if calls:
            await asyncio.wait(calls)
    if permit is Permit.PROBE and broken is None:  # nothing was heard of the carrier: whoever comes next tries
        await asyncio.to_thread(sender.breaker.tell, permit, worked=False, failed=0)
    if broken is not None:  # a carrier that raises breaks its contract: what it had is unknown when the lease ends
        raise broken


async def _hand_over(items: Sequence[Outgoing], handful: Handful, sender: Sender) -> list[SendResult]:
    try:
        has_waited = await sender.places.begin_call()
    except asyncio.CancelledError:  # given up while it waited: nothing of it was sent
        return [unsent(item) for item in items]
    try:
        # Old when this machine was asleep, or worse: somebody else may hold the lease soon.
        if handful.age > FRESH or (has_waited and sender.leaving.is_asked):
            return [unsent(item) for item in items]
        return await sender.carrier.send([item.message for item in items])  # (4)
    finally:
        sender.places.end_call()


async def _hand_back(agency_id: UUID, handful: Handful, sender: Sender) -> None:
    """Nothing of it was begun. What cannot be written down now is unknown when the lease ends."""
    claimed, now = [item.parcel.claimed for item in handful.outgoing], handful.now

    def write_down() -> None:
        with sender.db.transaction(agency_id) as tx:
            hand_back(tx, claimed, now=now)
        sender.breaker.tell(handful.permit, worked=False, failed=0)

    if claimed:
        await asyncio.to_thread(write_down)


Calls = Mapping["asyncio.Task[list[SendResult]]", Sequence[Outgoing]]


async def _give_up_on(calls: Calls) -> set["asyncio.Task[list[SendResult]]"]:
    """End calls that still run: whether they sent is not known."""
    for call in calls:
        call.cancel()
    done, _ = await asyncio.wait(calls)
    return done


def _error(call: "asyncio.Task[list[SendResult]]") -> BaseException | None:
    return None if call.cancelled() else call.exception()


async def _learn(answers: Sequence[Sequence[SendResult]], sender: Sender, permit: Permit) -> Permit:
    """Tell breaker and pace what calls came to; a probe has told all that it can with its first answers."""
    shown = [shows_at_work(results) for results in answers]
    worked, failed = True in shown, shown.count(False)
    pause = slow_down(result for results in answers for result in results)
    if failed or (worked and not sender.breaker.is_untroubled):
        await asyncio.to_thread(sender.breaker.tell, permit, worked=worked, failed=failed)
    if pause is not None:
        await asyncio.to_thread(sender.pace.pause, pause)
    return Permit.NONE if permit is Permit.PROBE and (worked or failed) else permit


def _happened(answers: Sequence[Sequence[SendResult]], handful: Handful, sender: Sender) -> list[Happened]:
    by_id = {item.message.attempt_id: item for item in handful.outgoing}
    return [
        happened_to(
            by_id[result.attempt_id],
            result,
            wire=sender.wire,
            carrier=sender.carrier.slug,
            edition=sender.renderer.edition.id,
            now=handful.now,
        )
        for results in answers
        for result in results
    ]


async def _record(agency_id: UUID, happened: Sequence[Happened], sender: Sender, handful: Handful) -> None:
    """All in one transaction; if that cannot be, each matter in its own, so that what is wrong with one costs no other.

    What cannot be recorded until the lease ends is unknown.
    """
    by_matter: dict[UUID, list[Change]] = defaultdict(list)
    for matter_id, change in happened:
        by_matter[matter_id].append(change)
    if not by_matter or await _written(agency_id, by_matter, sender, handful, is_last=len(by_matter) == 1):
        return
    for matter_id, changes in by_matter.items():
        if len(by_matter) > 1:
            await _written(agency_id, {matter_id: changes}, sender, handful, is_last=True)


async def _written(
    agency_id: UUID, by_matter: Mapping[UUID, Sequence[Change]], sender: Sender, handful: Handful, *, is_last: bool
) -> bool:
    """Whether it is written down; while the database is away that is tried again, as long as the lease lasts."""

    def write_down() -> None:
        with sender.db.transaction(agency_id) as tx:
            record_all(tx, by_matter, now=handful.now)

    while True:
        try:
            await asyncio.to_thread(write_down)
        except Exception as error:  # noqa: BLE001 # the answers in hand are worth more than this one's
            if not isinstance(error, AWAY) or handful.age > sender.lease or sender.leaving.is_over:
                if is_last:
                    (matter_id,) = by_matter
                    log.error("dispatch.unrecorded", matter=str(matter_id), error=type(error).__name__)  # noqa: TRY400 # a traceback may hold values
                return False
        else:
            return True
        await asyncio.sleep(RECORD_AGAIN)
