"""Anybody stops, at once; two officers let it go on."""

import threading
import time
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import Conflict, Forbidden, Invalid, NotFound
from notifier.core.model import Channel, Mode
from notifier.store.attempts import close_idle_work
from notifier.store.engine import Tx
from notifier.usecases.access import Principal
from notifier.usecases.approve import approve_sending
from notifier.usecases.stops import Lift, Stop, agency_stops, lift_stops, place_stop
from tests.installation import open_office
from tests.usecases.around import key_of, own_key, third_officer
from tests.usecases.desk import Desk, mailbox, now, person, phone

SMS, EMAIL = Channel.SMS, Channel.EMAIL


def test_a_stopped_matter_sends_nothing(desk: Desk) -> None:
    stopped = desk.approved(person(phone=phone(0), email=mailbox(), post=True))
    other = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=stopped)
    desk.follow()
    assert desk.print() is None
    assert desk.statuses(stopped) == {"planned": 3}
    assert desk.statuses(other) == {"delivered": 1}
    assert desk.tick() == []


def test_a_matter_stopped_before_its_approval_sends_nothing_after_it(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    stop(desk, matter_id=matter_id)
    desk.approve(matter_id)
    assert desk.send(SMS) == 0


def test_a_stopped_channel_sends_nothing_in_any_matter(desk: Desk) -> None:
    matters = [desk.approved(person(phone=phone(0), email=mailbox())) for _ in range(2)]
    stop(desk, channel=SMS)
    desk.follow()
    for matter_id in matters:
        assert desk.statuses(matter_id) == {"planned": 1, "delivered": 1}


def test_a_channel_can_be_stopped_in_one_matter(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    other = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=matter_id, channel=SMS)
    desk.follow()
    assert desk.statuses(matter_id) == {"planned": 1, "delivered": 1}
    assert desk.statuses(other) == {"delivered": 1}


def test_a_carrier_can_be_stopped(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    assert stop(desk, carrier="sendgrid_email").channel is EMAIL
    desk.follow()
    assert desk.statuses(matter_id) == {"planned": 1, "delivered": 1}


def test_a_stop_in_one_agency_stops_no_other(desk: Desk) -> None:
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    matter_id = stranger.approved(person(phone=phone(0)))
    stop(desk, channel=SMS)
    assert stranger.send(SMS) == 1
    assert stranger.statuses(matter_id) == {"handed_over": 1}


def test_a_machine_can_stop_and_so_can_a_test_key(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=matter_id, principal=desk.office.uploader)
    stop(desk, matter_id=matter_id, principal=key_of(desk, desk.office.approver.officer_id, mode=Mode.LIVE))
    assert desk.send(SMS) == 0


def test_written_letters_are_held_back_by_a_stop_at_print(desk: Desk) -> None:
    stopped, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    assert desk.compose() == 2
    stop(desk, matter_id=stopped)
    assert desk.close_batch() is not None
    assert desk.statuses(stopped) == {"planned": 1}
    assert desk.statuses(other) == {"handed_over": 1}
    assert desk.close_batch() is None


def test_letters_stopped_in_the_whole_agency_are_written_and_not_printed(desk: Desk) -> None:
    matters = [desk.approved(person(post=True)) for _ in range(2)]
    assert desk.compose() == 2
    stop(desk, channel=Channel.LETTER)
    assert desk.close_batch() is None
    assert [desk.statuses(matter_id) for matter_id in matters] == [{"planned": 1}] * 2
    for principal in (own_key(desk), desk.office.approver):
        lift(desk, None, principal)
    assert desk.close_batch() is not None


def test_a_carrier_stopped_in_the_whole_agency_rings_no_bell(desk: Desk) -> None:
    desk.approved(person(phone=phone(0)), person(email=mailbox()))
    stop(desk, carrier="twilio_sms")
    assert desk.send(SMS, EMAIL) == 1
    assert desk.tick() == []


def test_one_of_two_stops_of_an_agency_goes_on_by_itself(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    one, other = stop(desk, channel=SMS), stop(desk, channel=EMAIL)
    for principal in (own_key(desk), desk.office.approver):
        with desk.tx() as tx:
            lifted = lift_stops(tx, None, only=[one.stop_id], principal=principal, now=now())
    assert lifted == Lift("running", (one.stop_id,))
    desk.follow()
    assert desk.statuses(matter_id) == {"delivered": 1, "planned": 1}
    with desk.tx() as tx:
        assert [each.stop_id for each in agency_stops(tx, principal=desk.office.approver)] == [other.stop_id]
    with desk.tx() as tx, pytest.raises(NotFound, match="unknown-stop"):
        lift_stops(tx, None, only=[one.stop_id], principal=desk.office.approver, now=now())


def test_a_test_key_lets_no_live_matter_go_on(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    stop(desk, channel=SMS)
    desk.rows("update matter set mode = 'live' where matter_id = :matter returning 1", matter=matter_id)
    with pytest.raises(Forbidden, match="mode-mismatch"):
        lift(desk, None, own_key(desk))
    assert lift(desk, None, key_of(desk, desk.office.approver.officer_id, mode=Mode.LIVE)).state != "running"


def test_unwritten_letters_of_a_stopped_matter_hold_nobody_elses_back(desk: Desk) -> None:
    stopped, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    stop(desk, matter_id=stopped)
    assert desk.print() is not None
    assert desk.statuses(other) == {"handed_over": 1}


def test_a_stop_placed_while_the_approval_is_under_way_holds(desk: Desk) -> None:
    matter_id = desk.matter(person(phone=phone(0)))
    with desk.tx() as tx:  # an approval that has ordered everything and has not committed yet
        approve_in(tx, desk, matter_id)
        stopping = threading.Thread(target=lambda: stop(desk, matter_id=matter_id))
        stopping.start()
        wait_until_somebody_waits(desk)
    stopping.join(10)
    assert desk.send(SMS) == 0
    assert desk.tick() == []


def test_work_planned_while_idle_work_is_forgotten_is_not_forgotten(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    desk.follow()
    desk.add(matter_id, [person(phone=phone(1))])
    planned, forgotten = threading.Event(), threading.Event()

    def approve() -> None:
        with desk.tx() as tx:
            approve_in(tx, desk, matter_id)
            planned.set()
            forgotten.wait(10)

    approving = threading.Thread(target=approve)
    with desk.tx() as tx:
        tx.conn.execute(text("select from open_work for update"))  # the first half of close_idle_work
        approving.start()
        wait_until_somebody_waits(desk, or_else=planned)
        close_idle_work(tx)
    forgotten.set()
    approving.join(10)
    assert desk.tick() == ["sms"]
    assert desk.send(SMS) == 1


def test_going_on_takes_two_officers(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    placed = stop(desk, matter_id=matter_id)
    assert lift(desk, matter_id, own_key(desk)) == Lift("awaiting_second_officer", (placed.stop_id,))
    assert desk.send(SMS) == 0
    with pytest.raises(Forbidden, match="second-officer-needed"):
        lift(desk, matter_id, own_key(desk))
    assert lift(desk, matter_id, desk.office.approver) == Lift("running", (placed.stop_id,))
    assert desk.send(SMS) == 1
    with pytest.raises(Conflict, match="not-stopped"):
        lift(desk, matter_id, desk.office.approver)
    events = desk.events(matter_id)
    assert (events["stop.placed"], events["stop.lift_proposed"], events["stop.lifted"]) == (1, 1, 1)


def test_two_keys_of_one_officer_are_one_officer(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=matter_id)
    lift(desk, matter_id, desk.office.uploader)
    with pytest.raises(Forbidden, match="second-officer-needed"):
        lift(desk, matter_id, own_key(desk))


def test_a_machine_may_propose_and_never_confirm(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=matter_id)
    lift(desk, matter_id, desk.office.approver)
    with pytest.raises(Forbidden, match="personal-key-needed"):
        lift(desk, matter_id, desk.office.uploader)
    assert desk.send(SMS) == 0


def test_a_stop_placed_after_the_proposal_needs_its_own_two_and_no_third(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    first = stop(desk, matter_id=matter_id)
    lift(desk, matter_id, own_key(desk))
    second = stop(desk, matter_id=matter_id)
    assert lift(desk, matter_id, desk.office.approver) == Lift("awaiting_second_officer", (second.stop_id,))
    assert desk.send(SMS) == 0
    assert lift(desk, matter_id, own_key(desk)) == Lift("running", (second.stop_id,))
    assert first != second
    assert desk.send(SMS) == 1


def test_lifting_a_matters_stop_leaves_the_agencys_stop_in_force(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=matter_id)
    stop(desk, channel=SMS)
    for principal in (own_key(desk), desk.office.approver):
        lift(desk, matter_id, principal)
    assert desk.send(SMS) == 0
    for principal in (own_key(desk), third_officer(desk)):
        lift(desk, None, principal)
    assert desk.send(SMS) == 1


def test_a_key_of_the_other_mode_sets_nothing_going(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0)))
    stop(desk, matter_id=matter_id)
    lift(desk, matter_id, own_key(desk))
    with pytest.raises(Forbidden, match="mode-mismatch"):
        lift(desk, matter_id, key_of(desk, desk.office.approver.officer_id, mode=Mode.LIVE))


def test_a_stop_of_nothing_or_of_something_unknown_is_refused(desk: Desk) -> None:
    with pytest.raises(Invalid, match="stop-of-nothing"):
        stop(desk)
    with pytest.raises(Invalid, match="unknown-carrier"):
        stop(desk, carrier="pigeon")
    with pytest.raises(NotFound, match="unknown-matter"):
        stop(desk, matter_id=uuid4())
    with pytest.raises(NotFound, match="unknown-matter"), desk.tx() as tx:
        lift_stops(tx, uuid4(), principal=desk.office.approver, now=now())


def stop(desk: Desk, *, principal: Principal | None = None, **what: object) -> Stop:
    with desk.tx() as tx:
        return place_stop(
            tx,
            reason="safety",
            principal=principal or desk.office.uploader,
            now=now(),
            **what,  # type: ignore[arg-type]
        )


def lift(desk: Desk, matter_id: object, principal: Principal) -> Lift:
    with desk.tx() as tx:
        return lift_stops(tx, matter_id, principal=principal, now=now())  # type: ignore[arg-type]


def approve_in(tx: Tx, desk: Desk, matter_id: UUID) -> None:
    approve_sending(
        tx,
        matter_id,
        principal=desk.office.approver,
        packs=desk.service.packs,
        carrier_of=desk.service.carrier_of,
        carriers_are_real=False,
        vault=desk.service.vault,
        now=now(),
    )


def wait_until_somebody_waits(desk: Desk, *, or_else: threading.Event | None = None) -> None:
    """Until some transaction of this database waits for a lock, or for the event."""
    waiting = text("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with desk.service.db.engine.connect() as connection:
            if connection.execute(waiting).first() is not None or (or_else is not None and or_else.is_set()):
                return
        time.sleep(0.02)
    raise TimeoutError


def test_a_channel_and_a_carrier_of_another_channel_are_not_one_stop(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), email=mailbox()))
    with desk.tx() as tx, pytest.raises(Invalid, match="channel-not-of-carrier"):
        place_stop(
            tx,
            matter_id=matter_id,
            channel=Channel.EMAIL,
            carrier="twilio_sms",
            reason="other",
            principal=desk.office.uploader,
            now=now(),
        )
