"""Whoever cannot be told by us is a caseworker's: nobody ends in a place where nothing is due and nobody is asked."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from notifier.core.model import Actor, Channel, ContactFlag, Resolution, TaskKind
from notifier.core.status import PersonOutcome
from notifier.store.looks import look_again
from notifier.usecases.applying import apply_receipts
from notifier.usecases.contact_flags import flag_contact
from notifier.usecases.reading import count_outcomes
from notifier.usecases.reading_people import list_people
from notifier.usecases.tasks import finish_task
from notifier.usecases.waiting import silence_of
from tests.usecases.around import erase
from tests.usecases.desk import Desk, now, person, phone
from tests.usecases.post_office import NEW_HOME, come_back, declare, mailed, scanned


def test_somebody_without_any_way_to_be_written_to_is_a_caseworkers_as_soon_as_sending_is_approved(desk: Desk) -> None:
    matter_id = desk.approved(person(), person(phone=phone(0)))
    desk.look()
    nobody = desk.one("select person_id from notice where notice_id not in (select notice_id from attempt)")
    assert asked(desk, matter_id) == [(TaskKind.NOT_REACHED, nobody)]
    desk.advance(matter_id, days=60)
    assert len([kind for kind, person_id in asked(desk, matter_id) if person_id == nobody]) == 1


def test_somebody_whose_only_number_sent_stop_in_another_matter_is_a_caseworkers(desk: Desk) -> None:
    earlier = desk.approved(person(phone=phone(0)))
    flag(desk, contact(desk, earlier), ContactFlag.OPTED_OUT)
    matter_id = desk.approved(person(phone=phone(0)))
    assert desk.statuses(matter_id) == {}
    desk.look()
    assert [kind for kind, _ in asked(desk, matter_id)] == [TaskKind.NOT_REACHED]


def test_somebody_whose_only_message_went_to_a_stranger_is_a_caseworkers(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 1}
    flag(desk, contact(desk, matter_id), ContactFlag.WRONG_PERSON)
    assert [kind for kind, _ in asked(desk, matter_id)] == [TaskKind.WRONG_PERSON]
    with desk.tx() as tx:
        outcomes = count_outcomes(tx, matter_id, ())
        silence, vault = silence_of(desk.service.timetables), desk.service.vault
        people = list_people(
            tx, matter_id, after=-1, limit=9, principal=desk.office.approver, silence=silence, vault=vault
        )
    assert (outcomes[PersonOutcome.NOT_REACHED], people[0].outcome) == (1, PersonOutcome.NOT_REACHED)


def test_a_caseworker_is_told_once_of_a_failure_also_when_another_machine_s_clock_runs_ahead(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(52)))
    desk.send(Channel.SMS)
    desk.receive()
    with desk.tx() as tx:
        apply_receipts(tx, vault=desk.service.vault, now=now() + timedelta(minutes=5))
    desk.look()
    (task_id,) = [row.task_id for row in desk.rows("select task_id from task")]
    with desk.tx() as tx:
        finish_task(tx, task_id, resolution=Resolution.TOLD, principal=desk.office.approver, now=now())
        look_again(tx, people=[desk.only_attempt(matter_id).person_id])
    desk.look()
    assert asked(desk, matter_id) == []


def test_what_a_stranger_got_reached_nobody_when_everything_else_fails(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), post=True))
    desk.follow()
    (letter,) = [row.attempt_id for row in letters(desk, matter_id)]
    declare(desk, desk.print())
    flag(desk, contact(desk, matter_id), ContactFlag.WRONG_PERSON)
    desk.look()
    assert asked(desk, matter_id) == []
    come_back(desk, scanned(letter))
    desk.look()
    assert sorted(kind for kind, _ in asked(desk, matter_id)) == [TaskKind.MAIL_RETURNED, TaskKind.NOT_REACHED]


def test_a_return_is_recorded_also_where_no_other_address_may_be_kept(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    erase(desk, desk.only_attempt(matter_id).person_id)
    come_back(desk, scanned(letter, forwarding=NEW_HOME))
    assert desk.statuses(matter_id) == {"returned": 1}
    assert desk.one("select count(*) from contact_point") == 1


def contact(desk: Desk, matter_id: UUID, kind: str = "phone") -> UUID:
    query = "select contact_id from contact_point c join person p using (agency_id, person_id)"
    (row,) = desk.rows(f"{query} where p.matter_id = :m and c.kind = :kind", m=matter_id, kind=kind)
    return UUID(str(row.contact_id))


def flag(desk: Desk, contact_id: UUID, what: ContactFlag) -> None:
    with desk.tx() as tx:
        flag_contact(tx, contact_id, what, source="test", actor=Actor.system("test"), now=now())


def letters(desk: Desk, matter_id: UUID) -> Sequence[Any]:
    return desk.rows("select * from attempt where matter_id = :m and channel = 'letter' order by due_at", m=matter_id)


def asked(desk: Desk, matter_id: UUID) -> list[tuple[TaskKind, UUID]]:
    rows = desk.rows("select kind, person_id from task where matter_id = :m and done_at is null", m=matter_id)
    return [(TaskKind(row.kind), row.person_id) for row in rows]
