"""Whatever happens in whatever order: nobody is lost, nothing is doubled, and the ledger tells all of it.

A Hypothesis state machine over the real engine and PostgreSQL; only the carrier's own network is made up, and it keeps
the truth that our rows are held against. A few examples in every run of the tests, thousands in `make deep`.
"""

import asyncio
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
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
from notifier.usecases.receipts import store_receipts
from notifier.usecases.stops import place_stop
from tests.faults.network import Broken, Fate, Network, NetworkCarrier, posted
from tests.installation import open_office
from tests.sandbox import Catcher, Sandbox
from tests.usecases.around import Died
from tests.usecases.desk import QUICK, Desk, now, person, phone

S, E = AttemptStatus, AttemptEvent
EXAMPLES = int(os.environ.get("NOTIFIER_TEST_EXAMPLES", "2500"))
GIVEN_UP_OR_THERE = {S.HANDED_OVER, S.ACCEPTED, S.DELIVERED, S.FAILED, S.SILENT, S.UNKNOWN}
WORDS = (E.HANDED_OVER, E.ACCEPTED, E.ARRIVED, E.REFUSED)


class MortalDatabase(Database):
    """A database whose client dies when it opens its n-th transaction: the process is gone there."""

    def __init__(self, db: Database, deadline: int) -> None:
        self.engine = db.engine
        self._left = deadline

    @contextmanager
    def transaction(self, agency_id: UUID) -> Iterator[Tx]:
        """Die at the beginning: what was committed before stays."""
        self._left -= 1
        if self._left < 0:
            raise Died
        with super().transaction(agency_id) as tx:
            yield tx


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

    @precondition(lambda self: len(self.matters) < 3)
    @rule(count=st.integers(1, 6))
    def enter(self, count: int) -> None:
        people = [person(phone=phone(self.numbers + n)) for n in range(count)]
        self.matters.append(self.desk.approved(*people))
        self.persons += count
        self.numbers += count

    @rule(which=st.integers(0, 2))
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
        self._dispatch(fates, self.service.db)

    @rule(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=2), deadline=st.integers(0, 4))
    def die_while_sending(self, fates: Sequence[Fate], deadline: int) -> None:
        self._dispatch(fates, MortalDatabase(self.service.db, deadline))

    def _dispatch(self, fates: Sequence[Fate], db: Database) -> None:
        how = wire("twilio_sms").model_copy(update={**QUICK, "batch": 2})

        async def work() -> None:
            service = self.service
            carrier = NetworkCarrier(self.network, fates)
            pace = Pace(None, carrier=carrier.slug, sender="", rate=how.rate)
            breaker = Breaker(None, carrier=carrier.slug, rules=rules_of(how))
            sender = Sender(db, service.vault, service.renderer, carrier, how, Places(how), pace, breaker)
            await dispatch(self.desk.office.agency_id, sender=sender, now=now())

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

    def teardown(self) -> None:
        """In the end everything is settled, and our record is the network's, one to one."""
        if not self.matters:
            return
        self.resume()
        for _ in range(12):
            self.let_leases_end()
            self.let_waits_end()
            self.send([Fate.TAKEN])
            for attempt_id in sorted(self.network.refs):
                self.tell(sorted(self.network.refs).index(attempt_id), [E.ACCEPTED, E.ARRIVED], bounced=False)
            self.apply()
            if not [row for row in self._attempts() if row.status in {"planned", "sending"}]:
                break
        rows = self._attempts()
        assert {S(row.status) for row in rows} <= GIVEN_UP_OR_THERE
        for row in rows:
            there = self.network.has[row.attempt_id]
            assert there == 0 or S(row.status) not in {S.UNKNOWN, S.PLANNED}, row.status
            assert there == 1 or S(row.status) in {S.FAILED, S.UNKNOWN}, row.status
        self.nothing_is_doubled()
        self.nobody_is_lost()
        self.desk.check_everything()

    def _attempts(self) -> Sequence[Any]:
        return self.desk.rows("select attempt_id, person_id, status from attempt where agency_id = :agency")

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
