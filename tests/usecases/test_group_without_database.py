"""Callbacks that wait for the same commit while the database is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.exc import OperationalError

from notifier.core.model import Channel
from notifier.core.status import AttemptEvent
from notifier.store.engine import Database, Tx
from notifier.usecases.receipts import Arrival, store_all
from tests.usecases.around import arrived, said
from tests.usecases.desk import Desk, person, phone


class Away(Database):
    """A database that is not there, and how often it was looked for."""

    def __init__(self, db: Database) -> None:
        self.engine = db.engine
        self.looked_for = 0

    @contextmanager
    def transaction(self, agency_id: UUID) -> Iterator[Tx]:
        self.looked_for += 1
        raise OperationalError("", {}, Exception())
        yield Tx(self.engine.connect(), agency_id)


def test_a_database_that_is_away_is_not_waited_for_once_for_each_of_many_callbacks(desk: Desk) -> None:
    matter_id = desk.approved(*(person(phone=phone(71)) for _ in range(5)))
    desk.send(Channel.SMS)
    arrivals = [
        Arrival("twilio_sms", arrived(b"said"), [said(desk, attempt_id, AttemptEvent.ARRIVED)])
        for attempt_id in desk.attempt_ids(matter_id)
    ]
    away = Away(desk.service.db)
    results = store_all(away, arrivals, vault=desk.service.vault)
    assert [type(result) for result in results] == [OperationalError] * 5
    assert away.looked_for == 2
