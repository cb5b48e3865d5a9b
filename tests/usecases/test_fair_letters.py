"""A long run of letters keeps no short one waiting, and many short ones make one batch."""

import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, text

from notifier.core.model import Actor, Mode, PostService
from notifier.core.status import AttemptEvent, Reason
from notifier.store.engine import Tx
from notifier.store.ledger import lock_chains
from notifier.store.letters import Waiting, waiting_letters
from notifier.usecases.letters import compose_letters
from notifier.usecases.mailroom import BATCH, LINGER, close_batch, is_time
from notifier.usecases.progress import Change, record
from tests.usecases.desk import Desk, now, person

A_LITTLE = LINGER - timedelta(seconds=1)


def waits(letters: int, done: int = 0, since: timedelta = timedelta()) -> Waiting:
    return Waiting(Mode.TEST, PostService.FIRST_CLASS, letters, done, since)


@pytest.mark.parametrize(
    ("waiting", "nothing_else", "is_it"),
    [
        (waits(1), True, True),
        (waits(1), False, False),
        (waits(BATCH - 1), False, False),
        (waits(BATCH), False, True),
        (waits(30, 30, A_LITTLE), False, False),
        (waits(30, 1, LINGER), False, True),
        (waits(30, 0, LINGER), False, False),
    ],
)
def test_a_batch_is_closed_when_it_is_full_or_nothing_is_worth_waiting_for(
    waiting: Waiting,
    nothing_else: bool,  # noqa: FBT001 # a table
    is_it: bool,  # noqa: FBT001 # a table
) -> None:
    assert is_time(waiting, nothing_else=nothing_else) is is_it


def test_a_short_matter_is_written_beside_a_long_one(desk: Desk) -> None:
    desk.approved(*(person(post=True) for _ in range(60)))
    short = desk.approved(*(person(post=True) for _ in range(15)))
    rounds = 0
    while written(desk)[short] < 15:
        assert desk.compose() > 0
        rounds += 1
    assert rounds <= 2


def test_everybodys_letter_is_written_in_the_end(desk: Desk) -> None:
    matters = [desk.approved(*(person(post=True) for _ in range(count))) for count in (1, 5, 30)]
    while desk.compose():
        pass
    assert [written(desk)[matter] for matter in matters] == [1, 5, 30]


def test_matters_that_are_all_written_leave_the_others_the_whole_handful(desk: Desk) -> None:
    for _ in range(5):
        desk.approved(person(post=True))
    desk.compose()
    desk.approved(*(person(post=True) for _ in range(20)))
    assert desk.compose() == 20


def test_a_matter_that_is_written_goes_though_another_is_still_being_written(desk: Desk) -> None:
    long = desk.approved(*(person(post=True) for _ in range(60)))
    short = desk.approved(*(person(post=True) for _ in range(3)))
    while written(desk)[short] < 3:
        desk.compose()
    assert desk.close_batch() is None
    has_waited(desk, short)
    batch_id = desk.close_batch()
    assert batch_id is not None
    assert desk.statuses(short) == {"handed_over": 3}
    filled_up = desk.statuses(long)["handed_over"]
    assert filled_up > 0
    assert desk.one("select pieces from print_batch") == 3 + filled_up


def test_what_is_complete_comes_first_when_a_batch_cannot_hold_all(desk: Desk) -> None:
    desk.approved(*(person(post=True) for _ in range(60)))
    short = desk.approved(*(person(post=True) for _ in range(3)))
    while written(desk)[short] < 3:
        desk.compose()
    has_waited(desk, short)
    with desk.tx() as tx:
        assert close_batch(tx, mailroom=desk.mailroom(), now=now(), at_most=3) is not None
    assert desk.statuses(short) == {"handed_over": 3}


def test_a_full_batch_goes_while_its_matter_is_still_being_written(desk: Desk) -> None:
    matter_id = desk.approved(*(person(post=True) for _ in range(60)))
    desk.compose()
    with desk.tx() as tx:
        assert close_batch(tx, mailroom=desk.mailroom(), now=now(), at_most=20) is not None
    assert desk.statuses(matter_id) == {"handed_over": 20, "planned": 40}


def test_many_short_matters_make_one_batch(desk: Desk) -> None:
    matters = [desk.approved(person(post=True)) for _ in range(30)]
    closed = []
    while True:
        done = desk.compose()
        closed += [batch] if (batch := desk.close_batch()) else []
        if not done:
            break
    assert len(closed) == 1
    assert all(desk.statuses(matter) == {"handed_over": 1} for matter in matters)


def test_a_letter_that_another_worker_is_writing_is_waited_for(desk: Desk) -> None:
    desk.approved(person(post=True))
    desk.compose()
    desk.approved(person(post=True))
    with desk.tx() as tx:
        assert compose_letters(tx, mailroom=desk.mailroom(), now=now()) == 1
        assert desk.close_batch() is None
    assert desk.close_batch() is not None
    assert desk.one("select pieces from print_batch") == 2


def test_two_workers_never_close_two_halves(desk: Desk) -> None:
    desk.approved(*(person(post=True) for _ in range(4)))
    desk.compose()
    with desk.tx() as tx:
        assert close_batch(tx, mailroom=desk.mailroom(), now=now()) is not None
        assert desk.close_batch() is None
    assert [row.pieces for row in desk.rows("select pieces from print_batch")] == [4]


def refuse(tx: Tx, matter_id: UUID, attempt_id: UUID) -> None:
    """What somebody who holds a matter's chain may do to a letter at any moment."""
    change = Change(attempt_id, AttemptEvent.REFUSED, Actor.system("tests"), reason=Reason.WRONG_PERSON)
    record(tx, matter_id, [change], now=now())


@pytest.mark.parametrize("work", ["compose", "close_batch"])
def test_whoever_holds_a_matter_never_waits_for_its_letters_and_they_wait_for_him(desk: Desk, work: str) -> None:
    matter_id = desk.approved(person(post=True), person(post=True))
    if work == "close_batch":
        desk.compose()
    refused, other = desk.attempt_ids(matter_id)
    done: list[object] = []
    worker = threading.Thread(target=lambda: done.append(getattr(desk, work)()))
    with desk.tx() as tx:
        lock_chains(tx, [matter_id])
        worker.start()
        worker.join(2)
        assert worker.is_alive()  # it has chosen and written, and waits for the chain
        tx.conn.execute(text("set local lock_timeout = '1s'"))
        refuse(tx, matter_id, refused)
    worker.join(30)
    assert len(done) == 1
    desk.print()
    rows = {row.attempt_id: row.status for row in desk.rows("select attempt_id, status from attempt")}
    assert rows == {refused: "failed", other: "handed_over"}
    assert desk.one("select sum(pieces) from print_batch") == 1


def test_closing_a_batch_takes_few_statements_however_many_letters(desk: Desk) -> None:
    counts = []
    for letters in (10, 60):
        desk.approved(*(person(post=True) for _ in range(letters)))
        while desk.compose():
            pass
        said: list[str] = []

        def count(*args: object, said: list[str] = said) -> None:
            said.append(str(args[2]))

        event.listen(desk.service.db.engine, "before_cursor_execute", count)
        assert desk.close_batch() is not None
        event.remove(desk.service.db.engine, "before_cursor_execute", count)
        counts.append(len(said))
    assert counts[1] <= counts[0] + 6  # fifty more letters: two or three handfuls of files
    assert counts[1] < 60


def test_only_the_mailrooms_own_letters_are_written_for_it(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set carrier = 'lob_letter'"))
    assert desk.compose() == 0
    assert desk.close_batch() is None
    assert desk.statuses(matter_id) == {"planned": 1}


def test_what_waits_is_counted_by_mode_and_service(desk: Desk) -> None:
    desk.approved(*(person(post=True) for _ in range(2)))
    desk.compose()
    with desk.tx() as tx:
        (found,) = waiting_letters(tx)
    assert (found.mode, found.service, found.letters, found.done) == (Mode.TEST, PostService.FIRST_CLASS, 2, 2)
    assert timedelta() <= found.done_since < timedelta(minutes=1)


def written(desk: Desk) -> Counter[UUID]:
    rows = desk.rows("select matter_id, count(*) from attempt where blob_id is not null group by 1")
    return Counter({row.matter_id: row.count for row in rows})


def has_waited(desk: Desk, matter_id: UUID) -> None:
    with desk.tx() as tx:
        tx.conn.execute(
            text("update attempt set updated_at = now() - cast(:by as interval) where matter_id = :m"),
            {"by": LINGER, "m": matter_id},
        )
