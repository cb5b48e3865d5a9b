"""Paper that was not mailed: the letters go into another batch, as they are, and each still in exactly one."""

from uuid import UUID, uuid4

import pytest

from notifier.core.errors import Conflict, Forbidden, Invalid, NotFound
from notifier.core.model import KeyKind, Mode
from notifier.usecases.access import Principal, Scope
from notifier.usecases.batches import list_batches
from notifier.usecases.mailing import Voided, void_batch
from tests.usecases.desk import Desk, now, person
from tests.usecases.post_office import declare, lift, part, stop, void


def test_the_letters_of_a_void_batch_are_printed_as_they_are_in_the_next(desk: Desk) -> None:
    matter_id = desk.approved(*(person(post=True) for _ in range(3)))
    first = desk.print()
    blobs = {row.blob_id for row in desk.rows("select blob_id from attempt")}
    assert void(desk, first) == Voided(first, 3, 0)  # type: ignore[arg-type]
    assert desk.statuses(matter_id) == {"planned": 3}
    assert {(row.batch_id, row.handed_over_at) for row in desk.rows("select * from attempt")} == {(None, None)}
    assert desk.compose() == 0
    second = desk.close_batch()
    assert second not in {None, first}
    assert {row.blob_id for row in desk.rows("select blob_id from attempt")} == blobs
    assert {row.batch_id for row in desk.rows("select batch_id from attempt")} == {second}
    assert declare(desk, second).pieces == 3
    assert desk.events(matter_id)["attempt.withdrawn"] == desk.events(matter_id)["attempt.composed"] == 3
    assert desk.events(desk.office.agency_id)["print_batch.voided"] == 1


def test_a_stopped_letter_does_not_hold_the_others_of_its_batch(desk: Desk) -> None:
    stopped, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    first = desk.print()
    stop(desk, stopped)
    void(desk, first)
    second = desk.print()
    assert desk.statuses(stopped) == {"planned": 1}
    assert desk.only_attempt(other).batch_id == second
    assert declare(desk, second).pieces == 1
    lift(desk, stopped)
    third = desk.print()
    assert desk.only_attempt(stopped).batch_id == third
    assert declare(desk, third).pieces == 1


def test_a_single_envelope_can_be_taken_out_so_that_the_rest_is_mailed(desk: Desk) -> None:
    stopped, other = desk.approved(person(post=True)), desk.approved(person(post=True))
    batch_id = desk.print()
    stop(desk, stopped)
    assert void(desk, batch_id, *desk.attempt_ids(stopped)) == Voided(batch_id, 1, 1)  # type: ignore[arg-type]
    done = declare(desk, batch_id)
    assert (done.pieces, done.withdrawn) == (1, 1)
    assert desk.statuses(other) == {"accepted": 1}
    assert desk.statuses(stopped) == {"planned": 1}
    (said,) = [leaf["data"] for leaf in desk.said(desk.office.agency_id, "print_batch.mailed")]
    assert (said["pieces"], said["withdrawn"], said["service"]) == (1, 1, "first_class")


def test_a_spoilt_piece_is_printed_again_with_others_and_keeps_its_number(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True), person(post=True))
    first = desk.print()
    spoilt, _ = desk.attempt_ids(matter_id)
    void(desk, first, spoilt)
    second = desk.print()
    (again,) = desk.rows("select * from attempt where batch_id = :batch", batch=second)
    assert again.attempt_id == spoilt
    assert [declare(desk, batch).pieces for batch in (first, second)] == [1, 1]
    assert desk.statuses(matter_id) == {"accepted": 2}


def test_a_batch_whose_every_piece_was_withdrawn_is_void(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True), person(post=True))
    batch_id = desk.print()
    void(desk, batch_id, *desk.attempt_ids(matter_id))
    with pytest.raises(Conflict, match="already-voided"):
        declare(desk, batch_id)


def test_the_files_of_a_void_batch_are_not_given_any_more(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    void(desk, batch_id)
    for name in ("pdf", "manifest", "totals"):
        with pytest.raises(Conflict, match="batch-voided"):
            part(desk, batch_id, name)


def test_a_file_that_holds_a_withdrawn_letter_is_not_printed_again(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True), person(post=True))
    batch_id = desk.print()
    void(desk, batch_id, desk.attempt_ids(matter_id)[0])
    with pytest.raises(Conflict, match="pieces-withdrawn"):
        part(desk, batch_id, "pdf")
    assert part(desk, batch_id, "manifest")
    declare(desk, batch_id)
    assert part(desk, batch_id, "pdf").startswith(b"%PDF")


def test_what_was_said_of_a_batch_is_final(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    declare(desk, batch_id)
    with pytest.raises(Conflict, match="already-declared"):
        void(desk, batch_id)
    assert desk.statuses(matter_id) == {"accepted": 1}
    other = desk.approved(person(post=True))
    second = desk.print()
    void(desk, second)
    for act in (void, declare):
        with pytest.raises(Conflict, match="already-voided"):
            act(desk, second)
    assert desk.statuses(other) == {"planned": 1}


def test_pieces_of_another_batch_withdraw_nothing(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    first = desk.print()
    elsewhere = desk.approved(person(post=True))
    desk.print()
    with pytest.raises(Invalid, match="not-in-batch") as refused:
        void(desk, first, *desk.attempt_ids(matter_id), *desk.attempt_ids(elsewhere))
    assert [finding.pointer for finding in refused.value.findings] == ["/pieces/1"]
    with desk.tx() as tx, pytest.raises(Invalid, match="not-in-batch"):
        void_batch(tx, first, pieces=["12345"], principal=desk.office.approver, now=now())  # type: ignore[arg-type]
    assert desk.statuses(matter_id) == {"handed_over": 1}


def test_only_an_officer_of_the_agency_voids_a_batch(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    boss = desk.office.approver
    machine = Principal(boss.agency_id, boss.officer_id, boss.key_id, KeyKind.MACHINE, Mode.TEST, frozenset(Scope))
    with pytest.raises(Forbidden, match="personal-key-needed"):
        void(desk, batch_id, principal=machine)
    with pytest.raises(Forbidden, match="scope-missing"):
        void(desk, batch_id, principal=desk.office.uploader)
    live = Principal(boss.agency_id, boss.officer_id, boss.key_id, boss.kind, Mode.LIVE, boss.scopes)
    with pytest.raises(Forbidden, match="mode-mismatch"):
        void(desk, batch_id, principal=live)
    with pytest.raises(NotFound, match="unknown-print-batch"):
        void(desk, uuid4())


def test_a_list_of_batches_tells_what_became_of_each(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True), person(post=True))
    first = desk.print()
    void(desk, first)
    second = desk.print()
    void(desk, second, desk.attempt_ids(matter_id)[0])
    with desk.tx() as tx:
        listed = {one.batch_id: one for one in list_batches(tx, principal=desk.office.approver, now=now())}
    voided, mended = listed[UUID(str(first))], listed[UUID(str(second))]
    assert (voided.withdrawn, voided.voided_by, voided.red) == (2, desk.office.approver.officer_id, False)
    assert (mended.withdrawn, mended.voided_at, mended.pieces) == (1, None, 2)
