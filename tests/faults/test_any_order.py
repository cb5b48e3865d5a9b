"""Whatever happens in whatever order: nobody is lost, nothing is doubled, and the ledger tells all of it.

A Hypothesis state machine over the real engine and PostgreSQL; only the carrier's own network is made up, and it keeps
the truth that our rows are held against. A few examples in every run of the tests, thousands in `make deep`.
"""

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, text

from notifier.bootstrap import wire
from notifier.core.status import AttemptEvent, AttemptStatus
from notifier.service import Service
from notifier.store.engine import Database, Tx
from notifier.usecases.breaker import Breaker, rules_of
from notifier.usecases.dispatch import Sender, dispatch
from notifier.usecases.pace import Pace
from notifier.usecases.places import Places
from notifier.usecases.reconcile import reconcile
from notifier.usecases.stops import place_stop
from tests.faults.network import Answers, Broken, Fate, Network, NetworkCarrier, posted
from tests.installation import open_office
from tests.sandbox import Catcher, Sandbox
from tests.told import store_receipts
from tests.usecases.around import Died
from tests.usecases.desk import QUICK, Desk, now, person, phone

S, E = AttemptStatus, AttemptEvent
EXAMPLES = int(os.environ.get("NOTIFIER_TEST_EXAMPLES", "2500"))
GIVEN_UP_OR_THERE = {S.HANDED_OVER, S.ACCEPTED, S.DELIVERED, S.FAILED, S.SILENT, S.UNKNOWN}
FATES = st.lists(st.sampled_from(Fate), min_size=1, max_size=2)
WORDS = (E.HANDED_OVER, E.ACCEPTED, E.ARRIVED, E.REFUSED)


class Moment(Enum):
    """Where in its n-th transaction a process dies."""

    BEGINNING = auto()
    BEFORE_COMMIT = auto()  # what it did is rolled back
    AFTER_COMMIT = auto()  # what it did stays, and it never knew


class MortalDatabase(Database):
    """A database whose client dies in its n-th transaction: the process is gone there."""

    def __init__(self, db: Database, deadline: int, moment: Moment) -> None:
        self.engine = db.engine
        self._left = deadline
        self._moment = moment

    @contextmanager
    def transaction(self, agency_id: UUID) -> Iterator[Tx]:
        """What was committed before stays, whatever happens here."""
        self._left -= 1
        if self._left < 0 and self._moment is Moment.BEGINNING:
            raise Died
        with super().transaction(agency_id) as tx:
            yield tx
            if self._left < 0 and self._moment is Moment.BEFORE_COMMIT:
                raise Died
        if self._left < 0:
            raise Died


class Engine(RuleBasedStateMachine):
    """One office, its matters, and a carrier's network."""

    service: Service
    sandbox: Sandbox
    catcher: Catcher

    def __init__(self) -> None:
        super().__init__()
        office = open_office(self.service.db, self.service.vault)
        self.desk = Desk(self.service, office, self.sandbox, self.catcher)
        self.matters: list[UUID] = []
        self.persons = 0
        self.numbers = 0

    @initialize(seed=st.integers(0, 2**32), count=st.integers(1, 6))
    def open(self, seed: int, count: int) -> None:
        self.network = Network(self.desk.office.agency_id, random.Random(seed))
        self.enter(count)

    # What the office does.

    @precondition(lambda self: len(self.matters) < 6)
    @rule(count=st.integers(1, 6))
    def enter(self, count: int) -> None:
        people = [person(phone=phone(self.numbers + n)) for n in range(count)]
        self.matters.append(self.desk.approved(*people))
        self.persons += count
        self.numbers += count

    @rule(which=st.integers(0, 5))
    def stop(self, which: int) -> None:
        with self.desk.tx() as tx:
            matter_id = self.matters[which % len(self.matters)]
            place_stop(tx, matter_id=matter_id, reason="doubt", principal=self.desk.office.uploader, now=now())

    @rule()
    def resume(self) -> None:
        with self.desk.tx() as tx:
            tx.conn.execute(text("update stop set lifted_at = now() where lifted_at is null"))

    # What workers do.

    @rule(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=4))
    def send(self, fates: Sequence[Fate]) -> None:
        self._work(dispatch, fates, self.service.db)

    @rule()
    def send_and_hear_nothing(self) -> None:
        self.send([Fate.TAKEN_AND_LOST])

    @rule(fates=FATES, deadline=st.integers(0, 4), moment=st.sampled_from(Moment))
    def die_while_sending(self, fates: Sequence[Fate], deadline: int, moment: Moment) -> None:
        self._work(dispatch, fates, MortalDatabase(self.service.db, deadline, moment))

    @rule(answers=st.sampled_from(Answers))
    def ask_the_carrier(self, answers: Answers) -> None:
        self.network.answers = answers
        self._update("update attempt set check_at = now() where status = 'unknown' and check_at is not null")
        self._work(self._reconcile, [Fate.TAKEN], self.service.db)

    @rule(deadline=st.integers(0, 3), moment=st.sampled_from(Moment))
    def die_while_asking(self, deadline: int, moment: Moment) -> None:
        self._update("update attempt set check_at = now() where status = 'unknown' and check_at is not null")
        self._work(self._reconcile, [Fate.TAKEN], MortalDatabase(self.service.db, deadline, moment))

    def _reconcile(self, agency_id: UUID, *, sender: Sender, now: datetime) -> Awaitable[int]:
        return reconcile(agency_id, sender=sender, packs=self.service.packs, now=now)

    def _work(self, task: Callable[..., Awaitable[int]], fates: Sequence[Fate], db: Database) -> None:
        how = wire("twilio_sms").model_copy(update={**QUICK, "batch": 2})

        async def work() -> None:
            service = self.service
            carrier = NetworkCarrier(self.network, fates)
            pace = Pace(None, carrier=carrier.slug, sender="", rate=how.rate)
            breaker = Breaker(None, carrier=carrier.slug, rules=rules_of(how))
            sender = Sender(db, service.vault, service.renderer, carrier, how, Places(how), pace, breaker)
            await task(self.desk.office.agency_id, sender=sender, now=now())

        with suppress(Broken, Died):
            asyncio.run(work())

    # What the carrier tells.

    @precondition(lambda self: self.network.has)
    @rule(
        which=st.integers(0, 1000),
        words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
        bounced=st.booleans(),
    )
    def tell(self, which: int, words: Sequence[AttemptEvent], bounced: bool) -> None:  # noqa: FBT001 # Hypothesis gives it
        attempt_id = sorted(self.network.refs)[which % len(self.network.refs)]
        for word in [*words, E.BOUNCED] if bounced else words:
            receipt = self.network.receipt(attempt_id, word)
            store_receipts(
                self.service.db, [receipt], posted(receipt.raw, now()), carrier="twilio_sms", vault=self.service.vault
            )

    @rule()
    def apply(self) -> None:
        self.desk.apply()

    # What time brings.

    @rule()
    def tick(self) -> None:
        self.desk.tick()

    @rule()
    def let_leases_end(self) -> None:
        self._update("update attempt set lease_until = now() - interval '1 second' where status = 'sending'")
        self.desk.tick()

    @rule()
    def let_waits_end(self) -> None:
        self.desk.make_due()

    @rule()
    def let_the_time_for_asking_run_out(self) -> None:
        self._update("update attempt set updated_at = updated_at - interval '1 day' where status = 'unknown'")

    # What must hold, always.

    @invariant()
    def nothing_is_doubled(self) -> None:
        assert all(count == 1 for count in self.network.has.values())

    @invariant()
    def nobody_is_lost(self) -> None:
        assert self.desk.one("select count(*) from person where agency_id = :agency") == self.persons
        rows = self._attempts()
        assert len({row.person_id for row in rows}) == self.persons
        assert not {attempt_id for attempt_id in self.network.has if attempt_id not in {row.attempt_id for row in rows}}

    @invariant()
    def what_the_carrier_has_is_not_called_cancelled(self) -> None:
        for row in self._attempts():
            if self.network.has[row.attempt_id]:
                assert S(row.status) is not S.CANCELLED

    @invariant()
    def nobody_is_told_again_but_after_an_unknown(self) -> None:
        rows = self._attempts()
        again = [row for row in rows if row.linked_from]
        lost = {
            row["data"]["attempt"] for matter in self.matters for row in self.desk.said(matter, "attempt.lost_track")
        }
        assert {str(row.linked_from) for row in again} <= lost
        assert len({row.linked_from for row in again}) == len(again)
        assert len(rows) == self.persons + len(again)

    def teardown(self) -> None:
        """In the end everything is settled, and our record is the network's, one to one."""
        if not self.matters:
            return
        self.resume()
        for _ in range(12):
            self.let_leases_end()
            self.let_waits_end()
            self.let_the_time_for_asking_run_out()
            self.ask_the_carrier(Answers.TRULY)
            self.let_waits_end()
            self.send([Fate.TAKEN])
            for number in range(len(self.network.refs)):
                self.tell(number, [E.ACCEPTED, E.ARRIVED], bounced=False)
            self.apply()
            rows = self._attempts()
            if not [row for row in rows if row.status in {"planned", "sending"} or row.check_at]:
                break
        self._everything_is_settled(rows)
        self.nothing_is_doubled()
        self.nobody_is_lost()
        self.nobody_is_told_again_but_after_an_unknown()
        self.desk.check_everything()

    def _everything_is_settled(self, rows: Sequence[Any]) -> None:
        by_person: defaultdict[UUID, list[Any]] = defaultdict(list)
        for row in rows:
            by_person[row.person_id].append(row)
            assert S(row.status) in GIVEN_UP_OR_THERE
            assert (self.network.has[row.attempt_id] == 1) or S(row.status) in {S.FAILED, S.UNKNOWN}
            assert self.network.has[row.attempt_id] == 0 or S(row.status) is not S.UNKNOWN
        for attempts in by_person.values():
            last = max(attempts, key=lambda row: row.linked_from is not None)
            assert S(last.status) in {S.DELIVERED, S.ACCEPTED, S.HANDED_OVER, S.FAILED, S.UNKNOWN}
            if S(last.status) is S.UNKNOWN:  # the pack wants no third one: a caseworker's task
                assert last.linked_from is not None
                assert self.desk.rows("select from task where subject_id = :id", id=last.attempt_id)

    def _attempts(self) -> Sequence[Any]:
        return self.desk.rows(
            "select attempt_id, person_id, status, linked_from, check_at from attempt where agency_id = :agency"
        )

    def _update(self, statement: str) -> None:
        with self.desk.tx() as tx:
            conn: Connection = tx.conn
            conn.execute(text(statement))


def run(service: Service, sandbox: Sandbox, catcher: Catcher, *, examples: int, steps: int) -> None:
    class Here(Engine):
        pass

    Here.service, Here.sandbox, Here.catcher = replace(service), sandbox, catcher
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )


def test_whatever_happens_nobody_is_lost_and_nothing_is_doubled(
    service: Service, sandbox: Sandbox, catcher: Catcher
) -> None:
    run(service, sandbox, catcher, examples=15, steps=12)


@pytest.mark.deep
def test_whatever_happens_thousands_of_times(service: Service, sandbox: Sandbox, catcher: Catcher) -> None:
    run(service, sandbox, catcher, examples=EXAMPLES, steps=25)
