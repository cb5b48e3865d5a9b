"""How long what was not sent waits for its next try."""

from datetime import timedelta

from notifier.carriers.timetable import Retry
from notifier.core.model import Channel
from tests.usecases.desk import Desk, person, phone

SECONDS = 1000


def test_those_who_failed_together_do_not_come_back_together(desk: Desk) -> None:
    """Full jitter: each waits for any part of the whole delay."""
    desk.approved(*(person(phone=phone(74)) for _ in range(40)))
    retry = Retry(tries=3, first_delay_seconds=SECONDS, factor=1, cap_seconds=SECONDS)
    assert desk.send(Channel.SMS, retry=retry) >= 40
    waits = sorted(row.wait / timedelta(seconds=1) for row in desk.rows("select due_at - now() as wait from attempt"))
    assert len(waits) == 40
    assert waits[0] < SECONDS * 0.3
    assert SECONDS * 0.7 < waits[-1] <= SECONDS
    assert len({round(wait, 1) for wait in waits}) > 30
