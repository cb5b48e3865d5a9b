"""Letters: each in exactly one batch, handed to the post on an officer's word."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pikepdf
import pytest
from sqlalchemy import text

from notifier.core.errors import Conflict, Forbidden, Invalid, NotFound
from notifier.core.model import Channel, KeyKind, Mode, PostService
from notifier.core.status import PersonOutcome
from notifier.store.engine import Tx
from notifier.usecases.access import Principal, Scope
from notifier.usecases.batches import batch_file, list_batches
from notifier.usecases.clock_offset import advance_clock
from notifier.usecases.letters import compose_letters
from notifier.usecases.mailing import Mailed, declare_mailed
from notifier.usecases.mailroom import close_batch
from notifier.usecases.reading import MatterRead, read_matter
from notifier.usecases.reading_people import list_people, read_person
from notifier.usecases.stops import lift_stops, place_stop
from tests.installation import open_office
from tests.usecases.around import Died, erase, key_of, own_key
from tests.usecases.desk import ADDRESS, Desk, mailbox, now, person

DENVER = ZoneInfo("America/Denver")


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


# The officer's word.


def test_a_batch_is_declared_mailed_once(desk: Desk) -> None:
    matter_id = desk.approved(*(person(post=True) for _ in range(2)))
    batch_id = desk.print()
    assert declare(desk, batch_id) == Mailed(batch_id, 2, today(desk), PostService.FIRST_CLASS, None, 0)  # type: ignore[arg-type]
    assert desk.statuses(matter_id) == {"accepted": 2}
    with pytest.raises(Conflict, match="already-declared"):
        declare(desk, batch_id)
    assert desk.events(matter_id)["attempt.accepted"] == 2
    assert desk.events(desk.office.agency_id)["print_batch.mailed"] == 1


def test_two_officers_at_once_declare_it_once(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    outcomes: list[str] = []

    def say() -> None:
        try:
            declare(desk, batch_id)
            outcomes.append("declared")
        except Conflict as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=say) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["already-declared", "already-declared", "declared"]
    assert desk.events(matter_id)["attempt.accepted"] == 1


@pytest.mark.parametrize("days", [-1, 1, -3650, 3650])
def test_a_day_before_the_printing_or_after_today_is_impossible(desk: Desk, days: int) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    with pytest.raises(Invalid, match="impossible-mailing-day"):
        declare(desk, batch_id, mailed_on=today(desk) + timedelta(days=days))
    assert desk.statuses(matter_id) == {"handed_over": 1}


def test_the_day_is_the_one_that_the_agencys_clock_shows(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    evening = datetime(2027, 1, 6, 5, 30, tzinfo=ZoneInfo("UTC"))  # still the fifth in Denver
    with pytest.raises(Invalid, match="impossible-mailing-day"):
        declare(desk, batch_id, mailed_on=date(2027, 1, 6), at=evening)
    assert declare(desk, batch_id, mailed_on=date(2027, 1, 5), at=evening).pieces == 1


def test_a_machine_mails_nothing(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    with pytest.raises(Forbidden, match="scope-missing"):
        declare(desk, batch_id, principal=desk.office.uploader)
    second = desk.office.approver
    forged = Principal(second.agency_id, second.officer_id, second.key_id, KeyKind.MACHINE, Mode.TEST, frozenset(Scope))
    with pytest.raises(Forbidden, match="personal-key-needed"):
        declare(desk, batch_id, principal=forged)


def test_the_day_stands_in_the_ledger_of_the_matter_too(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    declare(desk, desk.print())
    (body,) = desk.rows("select body from event where chain_id = :chain and type = 'attempt.accepted'", chain=matter_id)
    assert json.loads(body.body)["data"]["mailed_on"] == today(desk).isoformat()


def test_a_machine_sees_no_print_batch(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    with pytest.raises(Forbidden, match="scope-missing"):
        part(desk, batch_id, "manifest", principal=desk.office.uploader)
    with desk.tx() as tx, pytest.raises(Forbidden, match="scope-missing"):
        list_batches(tx, principal=desk.office.uploader, now=now())


@pytest.mark.parametrize("channel", [None, Channel.LETTER])
def test_a_stop_keeps_a_closed_batch_in_the_house_until_two_officers_lift_it(
    desk: Desk, channel: Channel | None
) -> None:
    stopped, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    batch_id = desk.print()
    stop(desk, stopped, channel)
    with pytest.raises(Conflict, match="stopped"):
        part(desk, batch_id, "pdf")
    with pytest.raises(Conflict, match="stopped"):
        declare(desk, batch_id)
    assert part(desk, batch_id, "totals").startswith(b"%PDF")
    assert desk.statuses(stopped) == desk.statuses(other) == {"handed_over": 1}
    lift(desk, stopped)
    assert part(desk, batch_id, "pdf").startswith(b"%PDF")
    assert declare(desk, batch_id).pieces == 2


def test_a_stop_of_text_messages_or_of_another_matter_keeps_no_batch_back(desk: Desk) -> None:
    matter_id, other = desk.approved(person(post=True)), desk.matter()
    batch_id = desk.print()
    stop(desk, matter_id, Channel.SMS)
    stop(desk, other)
    assert part(desk, batch_id, "pdf").startswith(b"%PDF")
    assert declare(desk, batch_id).pieces == 1


def test_what_is_mailed_already_can_be_looked_at_in_spite_of_a_stop(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    declare(desk, batch_id)
    stop(desk, matter_id)
    assert part(desk, batch_id, "pdf").startswith(b"%PDF")


# Silence and outcomes.


def test_a_batch_that_nobody_mails_is_never_called_silent(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    desk.print()
    later(desk, matter_id, timedelta(days=400))
    assert desk.statuses(matter_id) == {"handed_over": 1}
    assert look(desk, matter_id).next_at == plan_is_looked_at(desk)


def test_the_silence_of_a_letter_is_counted_from_its_mailing(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    later(desk, matter_id, timedelta(days=20))
    declare(desk, batch_id)
    assert look(desk, matter_id).next_at is not None
    later(desk, matter_id, timedelta(days=34))
    assert desk.statuses(matter_id) == {"accepted": 1}
    later(desk, matter_id, timedelta(days=1))
    assert desk.statuses(matter_id) == {"silent": 1}


def test_a_letter_that_was_called_silent_before_is_on_its_way_when_it_is_declared_mailed(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set status = 'silent'"))
    declare(desk, batch_id)
    assert desk.statuses(matter_id) == {"accepted": 1}
    desk.tick()
    assert desk.statuses(matter_id) == {"accepted": 1}


def test_people_whose_letter_a_stop_keeps_back_are_stopped_and_wait_for_their_plan_alone(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    stop(desk, matter_id, Channel.LETTER)
    for _ in ("planned", "in a closed batch"):
        seen = look(desk, matter_id)
        assert {outcome: count for outcome, count in seen.outcomes.items() if count} == {PersonOutcome.STOPPED: 1}
        assert seen.next_at == plan_is_looked_at(desk)
        with desk.tx() as tx:
            (line,) = list_people(
                tx,
                matter_id,
                after=-1,
                limit=9,
                principal=desk.office.uploader,
                silence=desk.service.silence,
                vault=desk.service.vault,
            )
            one = read_person(
                tx,
                line.person_id,
                principal=desk.office.uploader,
                silence=desk.service.silence,
                vault=desk.service.vault,
            )
        assert line.outcome is one.line.outcome is PersonOutcome.STOPPED
        assert line.next_at == plan_is_looked_at(desk)
        lift(desk, matter_id)
        desk.print()
        stop(desk, matter_id, Channel.LETTER)


def test_a_stop_of_one_channel_leaves_people_in_progress_on_another(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True, email=mailbox("x")))
    stop(desk, matter_id, Channel.LETTER)
    assert look(desk, matter_id).outcomes[PersonOutcome.IN_PROGRESS] == 1
    desk.follow()
    assert look(desk, matter_id).outcomes[PersonOutcome.STOPPED] == 1
    lift(desk, matter_id)
    assert look(desk, matter_id).outcomes[PersonOutcome.IN_PROGRESS] == 1


def plan_is_looked_at(desk: Desk) -> datetime | None:
    """When the plan may want something else, whatever becomes of what it has ordered."""
    found: datetime | None = desk.one("select min(look_at) from notice")
    return found


def look(desk: Desk, matter_id: UUID) -> MatterRead:
    service = desk.service
    with desk.tx() as tx:
        return read_matter(tx, matter_id, principal=desk.office.uploader, silence=service.silence, vault=service.vault)


def later(desk: Desk, matter_id: UUID, by: timedelta) -> None:
    with desk.tx() as tx:
        advance_clock(tx, matter_id, by, now=now())
    desk.tick()


def lift(desk: Desk, matter_id: UUID) -> None:
    for officer in (own_key(desk), desk.office.approver):
        with desk.tx() as tx:
            lift_stops(tx, matter_id, principal=officer, now=now())


def stop(desk: Desk, matter_id: UUID, channel: Channel | None = None) -> None:
    with desk.tx() as tx:
        place_stop(tx, matter_id=matter_id, channel=channel, reason="safety", principal=desk.office.uploader, now=now())


def part(desk: Desk, batch_id: UUID | None, name: str, *, principal: Principal | None = None) -> bytes:
    assert batch_id is not None
    with desk.tx() as tx:
        return batch_file(tx, batch_id, name, principal=principal or desk.office.approver, vault=desk.service.vault)


@contextmanager
def cut_off(desk: Desk) -> Iterator[Tx]:
    """A transaction whose process dies at its end, before it is committed."""
    with suppress(Died), desk.tx() as tx:
        yield tx
        raise Died


def today(desk: Desk) -> date:
    closed_at: datetime = desk.one("select closed_at from print_batch")
    return closed_at.astimezone(DENVER).date()


def declare(
    desk: Desk,
    batch_id: UUID | None,
    *,
    mailed_on: date | None = None,
    principal: Principal | None = None,
    at: datetime | None = None,
) -> Mailed:
    assert batch_id is not None
    moment = at or now()
    with desk.tx() as tx:
        return declare_mailed(
            tx,
            batch_id,
            mailed_on=mailed_on or moment.astimezone(DENVER).date(),
            principal=principal or desk.office.approver,
            now=moment,
        )
