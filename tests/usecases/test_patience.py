"""Somebody holds the agency's own chain for long, and the clock goes on all the same."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from notifier.core.model import Channel
from notifier.store.attempts import claim
from notifier.store.ledger import lock_chains
from notifier.usecases.breaker import Standing
from notifier.usecases.carrier_alarms import CarrierAlarms
from tests.usecases.desk import Desk, now, person, phone

LONG = 5.0  # seconds, more than a clock ever waits


def raise_alarm(desk: Desk, alarms: CarrierAlarms) -> None:
    standings = {"twilio_sms": Standing(is_open=True)}
    alarms.follow(desk.service.db, desk.office.agency_id, standings, waiting=[Channel.SMS], now=now())


def test_an_agencys_chain_that_somebody_holds_keeps_no_clock_waiting(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)), person(post=True))
    desk.print()
    desk.rows("update print_batch set closed_at = closed_at - interval '30 days' returning 1")
    with desk.tx() as tx:
        assert len(claim(tx, Channel.SMS, chunk=1, lease=timedelta(seconds=-1))) == 1
    alarms = CarrierAlarms()
    with ThreadPoolExecutor(2) as threads:
        with desk.tx() as tx:
            lock_chains(tx, [desk.office.agency_id])
            began = time.monotonic()
            work: list[Callable[[], object]] = [partial(raise_alarm, desk, alarms), desk.tick]
            ticks = [threads.submit(one) for one in work]
            while not all(tick.done() for tick in ticks) and time.monotonic() - began < LONG:
                time.sleep(0.05)
            took = time.monotonic() - began
        for tick in ticks:
            tick.result()
    assert took < LONG
    assert desk.statuses(matter_id)["unknown"] == 1
    raise_alarm(desk, alarms)
    desk.tick()
    assert desk.events(desk.office.agency_id)["alarm.raised"] == 2
