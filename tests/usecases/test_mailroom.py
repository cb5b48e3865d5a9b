"""Letters: each in exactly one batch, handed to the post on an officer's word."""

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID, uuid4

import pikepdf
import pytest
from sqlalchemy import text

from notifier.core.errors import Forbidden, NotFound
from notifier.core.model import Mode
from notifier.store.engine import Tx
from notifier.usecases.batches import list_batches
from notifier.usecases.letters import compose_letters
from notifier.usecases.mailroom import close_batch
from tests.installation import open_office
from tests.usecases.around import Died, erase, key_of
from tests.usecases.desk import ADDRESS, Desk, now, person
from tests.usecases.post_office import declare, part


def test_each_letter_is_in_exactly_one_batch(desk: Desk) -> None:
    matters = [desk.approved(*(person(post=True) for _ in range(3))) for _ in range(2)]
    batch_id = desk.print()
    assert batch_id is not None
    assert desk.print() is None
    later = desk.approved(person(post=True))
    second = desk.print()
    rows = desk.rows("select batch_id, matter_id from attempt")
    assert {row.batch_id for row in rows if row.matter_id in matters} == {batch_id}
    assert {row.batch_id for row in rows if row.matter_id == later} == {second}
    assert [desk.statuses(matter_id)["handed_over"] for matter_id in (*matters, later)] == [3, 3, 1]


def test_a_batch_holds_the_letters_their_manifest_and_a_totals_sheet(desk: Desk) -> None:
    names = ["Sample Person Three", "Sample Person One", "Sample Person Two"]
    codes = ["80205", "80201", "80203"]
    desk.approved(
        *(person(name=n, post=ADDRESS | {"postal_code": c}) for n, c in zip(names, codes, strict=True)),
    )
    batch_id = desk.print()
    attempts = {row.attempt_id.hex for row in desk.rows("select attempt_id from attempt")}
    manifest = list(csv.DictReader(io.StringIO(part(desk, batch_id, "manifest").decode("utf-8-sig"))))
    assert len(manifest) == 3
    assert {piece for row in manifest for piece in row.values()} >= attempts
    with pikepdf.open(io.BytesIO(part(desk, batch_id, "pdf"))) as letters:
        pages = len(letters.pages)
    (batch,) = desk.rows("select * from print_batch")
    assert (batch.pieces, batch.mode) == (3, "test")
    assert pages >= batch.sheets >= 3
    with pikepdf.open(io.BytesIO(part(desk, batch_id, "totals"))) as totals:
        assert len(totals.pages) == 1


def test_a_batch_shows_nothing_in_the_database(desk: Desk) -> None:
    desk.approved(person(name="Unmistakable Person", post=ADDRESS | {"lines": ["17 Unmistakable Street"]}))
    desk.print()
    stored = repr([desk.rows(f"select * from {name}") for name in ("blob", "blob_piece", "content", "print_batch")])  # noqa: S608 # ours
    assert "Unmistakable" not in stored


def test_another_agencys_batch_is_unknown(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    for unknown in (batch_id, uuid4()):
        with pytest.raises(NotFound, match="unknown-print-batch"):
            part(stranger, unknown, "pdf")
        with pytest.raises(NotFound, match="unknown-print-batch"):
            declare(stranger, unknown)
    with pytest.raises(NotFound, match="unknown-print-batch"):
        part(desk, batch_id, "envelopes")
    with stranger.tx() as tx:
        assert list_batches(tx, principal=stranger.office.approver, now=now()) == []


def test_no_batch_is_closed_while_a_letter_is_being_written(desk: Desk) -> None:
    desk.approved(*(person(post=True) for _ in range(2)))
    with desk.tx() as tx:
        assert compose_letters(tx, mailroom=desk.mailroom(), now=now()) == 2
        assert desk.close_batch() is None
    assert desk.close_batch() is not None


def test_a_crash_while_writing_loses_nothing(desk: Desk) -> None:
    matter_id = desk.approved(*(person(post=True) for _ in range(2)))
    with cut_off(desk) as tx:
        assert compose_letters(tx, mailroom=desk.mailroom(), now=now()) == 2
    assert desk.one("select count(*) from blob") == 0
    assert desk.print() is not None
    assert desk.statuses(matter_id) == {"handed_over": 2}
    assert desk.events(matter_id)["attempt.composed"] == 2


def test_a_crash_between_writing_and_printing_loses_nothing(desk: Desk) -> None:
    matter_id = desk.approved(*(person(post=True) for _ in range(2)))
    assert desk.compose() == 2
    with cut_off(desk) as tx:
        assert close_batch(tx, mailroom=desk.mailroom(), now=now()) is not None
    assert desk.statuses(matter_id) == {"planned": 2}
    assert desk.rows("select * from print_batch") == []
    assert desk.close_batch() is not None
    assert desk.statuses(matter_id) == {"handed_over": 2}
    assert desk.one("select count(*) from blob where purpose = 'letter'") == 2


def test_two_letter_workers_at_once_print_each_letter_once(desk: Desk) -> None:
    matter_id = desk.approved(*(person(post=True) for _ in range(30)))
    batches: list[UUID | None] = []
    threads = [threading.Thread(target=lambda: batches.append(desk.print())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    batches.append(desk.print())
    closed = {batch for batch in batches if batch}
    assert desk.statuses(matter_id) == {"handed_over": 30}
    assert {row.batch_id for row in desk.rows("select batch_id from attempt")} == closed
    assert desk.one("select sum(pieces) from print_batch") == 30
    assert desk.events(matter_id)["attempt.composed"] == 30


def test_a_long_run_makes_several_batches(desk: Desk) -> None:
    desk.approved(*(person(post=True) for _ in range(4)))
    desk.compose()
    for _ in range(3):
        with desk.tx() as tx:
            close_batch(tx, mailroom=desk.mailroom(), now=now(), at_most=3)
    assert sorted(row.pieces for row in desk.rows("select pieces from print_batch")) == [1, 3]


def test_an_address_that_cannot_be_printed_holds_nobody_elses_letter_back(desk: Desk) -> None:
    unprintable = desk.approved(person(name="\N{LINEAR B SYLLABLE B008 A}", post=True))
    printable = desk.approved(person(post=True))
    assert desk.print() is not None
    assert desk.statuses(unprintable) == {"failed": 1}
    assert desk.only_attempt(unprintable).reason == "no_text"
    assert desk.statuses(printable) == {"handed_over": 1}


@pytest.mark.parametrize("when", ["before writing", "after writing"])
def test_an_erased_persons_letter_is_not_printed_and_the_others_are(desk: Desk, when: str) -> None:
    erased, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    if when == "after writing":
        desk.compose()
    erase(desk, desk.only_attempt(erased).person_id)
    assert desk.print() is not None
    assert desk.statuses(erased) == {"failed": 1}
    assert desk.statuses(other) == {"handed_over": 1}
    assert desk.one("select pieces from print_batch") == 1


def test_a_written_letter_that_was_damaged_holds_nobody_elses_back(desk: Desk) -> None:
    damaged, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    desk.compose()
    with desk.tx() as tx:
        tx.conn.execute(
            text("update content set sealed = 'spoilt' where attempt_id = :id"),
            {"id": desk.only_attempt(damaged).attempt_id},
        )
    assert desk.print() is not None
    assert desk.statuses(damaged) == {"failed": 1}
    assert desk.only_attempt(damaged).reason == "unreadable"
    assert desk.statuses(other) == {"handed_over": 1}


def test_live_letters_and_test_letters_never_lie_in_one_batch(desk: Desk) -> None:
    uploader = key_of(desk, desk.office.uploader.officer_id, mode=Mode.LIVE)
    test, live = desk.approved(person(post=True)), desk.matter()
    with desk.tx() as tx:
        tx.conn.execute(text("update matter set mode = 'live' where matter_id = :m"), {"m": live})
    desk.add(live, [person(post=True)], principal=uploader)
    live_approver = key_of(desk, desk.office.approver.officer_id, mode=Mode.LIVE)
    desk.approve(live, principal=live_approver)
    first, second = desk.print(), desk.print()
    batches = {row.batch_id: row.mode for row in desk.rows("select batch_id, mode from print_batch")}
    assert len({first, second}) == len(batches) == 2
    for matter_id, mode in ((test, "test"), (live, "live")):
        assert batches[desk.only_attempt(matter_id).batch_id] == mode
    (live_batch,) = [batch for batch, mode in batches.items() if mode == "live"]
    with pytest.raises(Forbidden, match="mode-mismatch"):
        declare(desk, live_batch)
    with pytest.raises(NotFound, match="unknown-print-batch"):
        part(desk, live_batch, "pdf")
    with desk.tx() as tx:
        assert [row.mode for row in list_batches(tx, principal=desk.office.approver, now=now())] == ["test"]
        assert [row.batch_id for row in list_batches(tx, principal=live_approver, now=now())] == [live_batch]
    assert part(desk, live_batch, "pdf", principal=live_approver).startswith(b"%PDF")
    assert declare(desk, live_batch, principal=live_approver).pieces == 1


@contextmanager
def cut_off(desk: Desk) -> Iterator[Tx]:
    """A transaction whose process dies at its end, before it is committed."""
    with suppress(Died), desk.tx() as tx:
        yield tx
        raise Died
