"""The officer's word that a print batch was mailed, what a stop keeps back, and when a letter's silence begins."""

import json
import threading
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from notifier.core.errors import Conflict, Forbidden, Invalid
from notifier.core.model import Channel, KeyKind, Mode, PostService
from notifier.core.status import PersonOutcome
from notifier.usecases.access import Principal, Scope
from notifier.usecases.batches import list_batches
from notifier.usecases.clock_offset import advance_clock
from notifier.usecases.mailing import Mailed
from notifier.usecases.reading import MatterRead, read_matter
from notifier.usecases.reading_people import list_people, read_person
from tests.usecases.desk import Desk, mailbox, now, person
from tests.usecases.post_office import declare, lift, part, stop

DENVER = ZoneInfo("America/Denver")


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


def today(desk: Desk) -> date:
    closed_at: datetime = desk.one("select closed_at from print_batch")
    return closed_at.astimezone(DENVER).date()
