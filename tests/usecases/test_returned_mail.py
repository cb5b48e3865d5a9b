"""Mail that comes back: recorded once, and followed by what its reason asks for."""

import json
import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import Conflict, Forbidden, Invalid
from notifier.core.model import Channel, Mode, PostalAddress
from notifier.core.pieces import piece_number
from notifier.core.returned_mail import NextStep, UspsReason
from notifier.core.status import PROOF, AttemptStatus, PersonOutcome, Proof
from notifier.usecases.certified import Scan
from notifier.usecases.reading import read_matter
from notifier.usecases.returned_mail import Result, Scanned
from tests.installation import open_office
from tests.usecases.around import erase, key_of
from tests.usecases.desk import ADDRESS, Desk, person, phone
from tests.usecases.post_office import (
    NEW_HOME,
    article,
    certify,
    come_back,
    declare,
    mailed,
    scanned,
    stop,
    today,
    void,
)

N, R = UspsReason, Result


def test_a_letter_that_comes_back_is_returned_and_says_why(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    (result,) = come_back(desk, scanned(letter, N.NSN))
    assert (result.result, result.defeats, result.next_step) == (R.RECORDED, True, NextStep.MEND_ADDRESS)
    attempt = desk.only_attempt(matter_id)
    assert (attempt.status, attempt.reason, attempt.carrier_code) == ("returned", "returned_by_post", "NSN")
    (said,) = desk.said(matter_id, "attempt.came_back")
    assert said["data"]["usps_reason"] == "NSN"
    assert said["data"]["returned_on"] == today().isoformat()
    assert PROOF[Channel.LETTER][AttemptStatus(attempt.status)] is Proof.COMPOSED
    (piece,) = desk.rows("select * from returned_piece")
    assert (piece.attempt_id, piece.usps_reason, piece.scanned_by) == (letter, "NSN", desk.office.approver.officer_id)


def test_a_person_whose_only_letter_came_back_is_not_reached(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    come_back(desk, scanned(letter))
    with desk.tx() as tx:
        seen = read_matter(
            tx,
            matter_id,
            principal=desk.office.uploader,
            silence=desk.service.silence,
            vault=desk.service.vault,
        )
    assert seen.outcomes[PersonOutcome.NOT_REACHED] == 1


@pytest.mark.parametrize("way", ["code", "id", "number", "spaced number"])
def test_a_letter_is_known_by_its_code_or_its_number(desk: Desk, way: str) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    text = {
        "code": f"{letter.hex.upper()}-2",
        "id": str(letter),
        "number": piece_number(letter),
        "spaced number": piece_number(letter).replace("-", " "),
    }[way]
    (result,) = come_back(desk, Scanned(text, N.VAC, today()))
    assert (result.result, result.attempt_id) == (R.RECORDED, letter)


def test_the_address_is_marked_and_a_caseworker_has_two_business_days(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    come_back(desk, scanned(letter, N.IA))
    (flag,) = desk.rows("select flag, contact_id from contact_flag")
    assert (flag.flag, flag.contact_id) == ("returned", desk.only_attempt(matter_id).contact_id)
    (task,) = desk.rows("select * from task where kind = 'mail_returned'")
    assert (task.subject_id, task.matter_id) == (letter, matter_id)
    assert timedelta(days=1) < task.due_at - task.opened_at <= timedelta(days=5)
    assert desk.events(matter_id)["contact.flagged"] == desk.events(matter_id)["task.opened"] == 1


@pytest.mark.parametrize("reason", [N.UNC, N.REF, N.TA])
def test_an_address_that_is_right_is_not_marked(desk: Desk, reason: UspsReason) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    (result,) = come_back(desk, scanned(letter, reason))
    assert desk.rows("select * from contact_flag") == []
    assert result.defeats == {N.UNC: True, N.REF: False, N.TA: None}[reason]
    assert desk.one("select count(*) from task where kind = 'mail_returned'") == 1


# The same letter again.


def test_the_same_letter_scanned_twice_gives_the_same_answer_and_changes_nothing(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    (first,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    before = desk.events(matter_id)
    again = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME), scanned(letter, N.FOE))
    assert {one.result for one in again} == {R.KNOWN}
    assert {(one.remailed_as, one.forwarded_to) for one in again} == {(first.remailed_as, first.forwarded_to)}
    assert desk.events(matter_id) == before


def test_two_officers_who_scan_the_same_letter_record_it_once(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    results: list[Result] = []

    def scan() -> None:
        results.append(come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))[0].result)

    threads = [threading.Thread(target=scan) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [R.KNOWN, R.KNOWN, R.RECORDED]
    assert len(desk.attempt_ids(matter_id)) == 2


def test_another_reason_for_the_same_letter_is_not_taken(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    come_back(desk, scanned(letter, N.ANK))
    (other,) = come_back(desk, scanned(letter, N.REF))
    assert other.result is R.RECORDED_OTHERWISE
    assert desk.one("select usps_reason from returned_piece") == "ANK"


def test_a_new_address_that_was_overlooked_can_be_given_later(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    come_back(desk, scanned(letter, N.FOE))
    (late,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    assert late.result is R.RECORDED
    assert late.remailed_as is not None
    assert desk.events(matter_id)["attempt.came_back"] == 1
    assert desk.one("select count(*) from task where kind = 'mail_returned' and done_at is null") == 0


# What follows.


def test_a_letter_goes_to_the_address_that_the_post_named_once(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    first = desk.only_attempt(matter_id)
    (result,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    (second,) = desk.rows("select * from attempt where linked_from is not null")
    assert (second.attempt_id, second.linked_from, second.status) == (result.remailed_as, letter, "planned")
    assert (second.notice_id, second.carrier) == (first.notice_id, first.carrier)
    assert second.contact_id == result.forwarded_to != first.contact_id
    (point,) = desk.rows("select * from contact_point where contact_id = :id", id=result.forwarded_to)
    assert (point.source, point.kind, point.person_id) == ("forwarding", "post", first.person_id)
    assert [row.flag for row in desk.rows("select flag from contact_flag")] == ["moved"]
    assert desk.one("select count(*) from task where kind = 'mail_returned'") == 0
    (said,) = desk.said(matter_id, "attempt.ordered")
    assert said["data"]["linked_from"] == str(letter)
    assert "duplicate_possible" not in said["data"]
    batch_id = desk.print()
    declare(desk, batch_id)
    assert desk.statuses(matter_id) == {"returned": 1, "accepted": 1}


def test_the_new_letter_shows_the_new_address_and_nothing_of_it_is_readable_in_the_database(desk: Desk) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    come_back(desk, scanned(letter, N.FOE, forwarding=PostalAddress(("9 Unmistakable Row",), "Boulder", "CO", "80301")))
    names = ("contact_point", "returned_piece", "event", "attempt", "task")
    stored = repr([desk.rows(f"select * from {name}") for name in names])  # noqa: S608 # ours
    assert "Unmistakable" not in stored


def test_the_plan_orders_no_second_letter_to_the_address_that_has_just_got_one(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    desk.look()
    assert len(desk.attempt_ids(matter_id)) == 2


def test_a_letter_that_follows_and_comes_back_too_is_a_caseworkers(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    (first,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    declare(desk, desk.print())
    assert first.remailed_as is not None
    (second,) = come_back(desk, scanned(first.remailed_as, N.FOE, forwarding=NEW_HOME))
    assert second.remailed_as is None
    assert desk.statuses(matter_id) == {"returned": 2}
    assert desk.one("select count(*) from task where kind = 'mail_returned' and done_at is null") == 1


def test_a_letter_is_never_sent_back_to_the_address_that_it_came_from(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    home = PostalAddress(**{**ADDRESS, "lines": tuple(ADDRESS["lines"])})  # type: ignore[arg-type]
    (result,) = come_back(desk, scanned(letter, N.MLNA, forwarding=home))
    assert result.remailed_as is None
    assert result.forwarded_to == desk.only_attempt(matter_id).contact_id
    assert [row.flag for row in desk.rows("select flag from contact_flag")] == ["returned"]


def test_an_address_that_has_had_its_letter_gets_no_second_one_of_the_same_notice(desk: Desk) -> None:
    other = {"lines": list(NEW_HOME.lines), "city": NEW_HOME.city, "region": "CO", "postal_code": NEW_HOME.postal_code}
    row = person(post=True)
    two = row.model_copy(update={"contacts": (*row.contacts, *person(post=other).contacts)})
    matter_id = desk.approved(two)
    letters = mailed(desk, matter_id)
    assert len(letters) == 2
    new_home = desk.rows(
        "select a.attempt_id, a.contact_id from attempt a join contact_point c using (contact_id)"
        " where a.matter_id = :m order by 1",
        m=matter_id,
    )
    results = [come_back(desk, scanned(each.attempt_id, N.FOE, forwarding=NEW_HOME))[0] for each in new_home]
    assert [result.remailed_as for result in results] == [None, None]
    assert len(desk.attempt_ids(matter_id)) == 2


def test_an_unclaimed_certified_letter_is_followed_by_plain_mail_at_once(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    certify(desk, matter_id)
    (letter,) = desk.attempt_ids(matter_id)
    declare(desk, desk.print(), Scan(letter.hex, article(1)))
    (result,) = come_back(desk, scanned(letter, N.UNC))
    (plain,) = desk.rows("select * from attempt where linked_from = :letter", letter=letter)
    assert (plain.attempt_id, plain.service, plain.plan_row) == (result.remailed_as, "first_class", "returned_mail")
    assert plain.contact_id == desk.one("select contact_id from attempt where attempt_id = :a", a=letter)
    assert desk.one("select count(*) from task where kind = 'mail_returned'") == 0
    declare(desk, desk.print())
    (again,) = come_back(desk, scanned(plain.attempt_id, N.UNC))
    assert again.remailed_as is None
    assert len(desk.attempt_ids(matter_id)) == 2


def test_a_certified_letter_that_moves_on_is_followed_by_plain_mail_and_never_goes_alone(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    mailed(desk, matter_id)
    desk.advance(matter_id, days=5)
    (letter,) = [row.attempt_id for row in desk.rows("select attempt_id from attempt where service = 'certified'")]
    declare(desk, desk.print(), Scan(letter.hex, article(3)))
    (result,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    mail = "select service, plan_row from attempt where contact_id = :to order by due_at"
    assert [row.service for row in desk.rows(mail, to=result.forwarded_to)] == ["first_class"]
    declare(desk, desk.print())
    desk.advance(matter_id, days=3)
    assert [row.service for row in desk.rows(mail, to=result.forwarded_to)] == ["first_class", "certified"]


def test_nobody_texts_the_phone_of_somebody_who_has_died(desk: Desk) -> None:
    matter_id = desk.approved(person(phone=phone(0), post=True))
    (letter,) = [row.attempt_id for row in desk.rows("select attempt_id from attempt where channel = 'letter'")]
    declare(desk, desk.print())
    come_back(desk, scanned(letter, N.DEC))
    assert desk.one("select reason from attempt where channel = 'sms'") == "deceased"
    desk.advance(matter_id, days=30)
    assert desk.one("select count(*) from attempt where channel = 'sms'") == 1
    assert [row.kind for row in desk.rows("select kind from task where subject_id = :a", a=letter)] == ["mail_returned"]


def test_no_plain_mail_follows_where_some_went_already(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    certify(desk, matter_id)
    (letter,) = desk.attempt_ids(matter_id)
    declare(desk, desk.print(), Scan(letter.hex, article(2)))
    (first,) = come_back(desk, scanned(letter, N.REF))
    assert first.remailed_as is not None
    assert desk.one("select count(*) from task where kind = 'mail_returned'") == 1  # a refusal is a human's as well


def test_a_stop_keeps_the_letter_that_follows_back(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    stop(desk, matter_id)
    (result,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    assert result.remailed_as is not None
    assert desk.print() is None
    assert desk.statuses(matter_id) == {"returned": 1, "planned": 1}


def test_where_somebody_protected_lives_is_never_learned(desk: Desk) -> None:
    substitute = {"lines": ["1001 E 62nd Ave Apt 7"], "city": "Denver", "region": "CO", "postal_code": "80216"}
    matter_id = desk.approved(person(post=substitute))
    (letter,) = mailed(desk, matter_id)
    (refused,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    assert (refused.result, refused.attempt_id, refused.forwarded_to) == (R.CONFIDENTIAL_ADDRESS, letter, None)
    assert desk.statuses(matter_id) == {"returned": 1}
    assert desk.one("select count(*) from contact_point") == 1
    (again,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    assert (again.result, again.forwarded_to) == (R.CONFIDENTIAL_ADDRESS, None)
    (known,) = come_back(desk, scanned(letter, N.FOE))
    assert (known.result, known.remailed_as) == (R.KNOWN, None)


def test_where_somebody_protected_lives_is_not_learned_from_their_other_address_either(desk: Desk) -> None:
    substitute = {"lines": ["1001 E 62nd Ave Apt 7"], "city": "Denver", "region": "CO", "postal_code": "80216"}
    row = person(post=True)
    two = row.model_copy(update={"contacts": (*row.contacts, *person(post=substitute).contacts)})
    for letter in mailed(desk, desk.approved(two)):
        (refused,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
        assert (refused.result, refused.remailed_as) == (R.CONFIDENTIAL_ADDRESS, None)
    assert desk.one("select count(*) from contact_point") == 2


def test_no_address_is_kept_for_somebody_whose_data_was_erased(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    erase(desk, desk.only_attempt(matter_id).person_id)
    (refused,) = come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    assert refused.result is R.ERASED
    (known,) = come_back(desk, scanned(letter, N.FOE))
    assert known.result is R.KNOWN


# What is no returned mail.


def test_an_unknown_letter_is_said_to_be_unknown_and_keeps_no_other_from_being_recorded(desk: Desk) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    results = come_back(desk, scanned(uuid4()), scanned(letter), Scanned(piece_number(uuid4()), N.ANK, today()))
    assert [one.result for one in results] == [R.UNKNOWN_LETTER, R.RECORDED, R.UNKNOWN_LETTER]
    assert desk.one("select count(*) from returned_piece") == 1


def test_a_line_that_cannot_be_read_refuses_them_all(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    nowhere = PostalAddress((), "", "", "")
    bad = [
        scanned(letter),
        Scanned("12345-67890-12340", N.ANK, today()),
        scanned(letter, forwarding=nowhere),
    ]
    with pytest.raises(Invalid, match="unreadable-scan") as refused:
        come_back(desk, *bad)
    assert [finding.pointer for finding in refused.value.findings] == [
        "/pieces/1/piece",
        "/pieces/2/forwarding_address",
    ]
    assert desk.statuses(matter_id) == {"accepted": 1}


def test_a_number_that_two_letters_have_is_not_guessed(desk: Desk) -> None:
    desk.approved(person(post=True), person(post=True))
    first, second = mailed(desk, desk.one("select matter_id from matter"))
    twin = UUID(int=second.int >> 46 << 46 | first.int % (1 << 46))
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set attempt_id = :t where attempt_id = :s"), {"t": twin, "s": second})
    (typed,) = come_back(desk, Scanned(piece_number(first), N.ANK, today()))
    assert typed.result is R.UNKNOWN_LETTER
    (coded,) = come_back(desk, scanned(first))
    assert coded.result is R.RECORDED
    with desk.tx() as tx:
        tx.conn.execute(text("update attempt set attempt_id = :s where attempt_id = :t"), {"t": twin, "s": second})


@pytest.mark.parametrize("days", [-3650, 2])
def test_an_impossible_day_is_not_taken(desk: Desk, days: int) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    (result,) = come_back(desk, scanned(letter, on=today() + timedelta(days=days)))
    assert result.result is R.IMPOSSIBLE_DAY
    assert desk.rows("select * from returned_piece") == []


def test_in_a_test_matter_whose_clock_was_moved_the_day_of_mailing_counts(desk: Desk) -> None:
    matter_id = desk.matter(person(post=True))
    desk.approve(matter_id)
    desk.advance(matter_id, days=5)
    (letter,) = mailed(desk, matter_id)
    (result,) = come_back(desk, scanned(letter, on=today()))
    assert result.result is R.RECORDED


def test_a_letter_that_was_never_written_cannot_come_back(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = desk.attempt_ids(matter_id)
    (result,) = come_back(desk, scanned(letter))
    assert result.result is R.NEVER_WRITTEN
    assert desk.statuses(matter_id) == {"planned": 1}


def test_a_letter_that_was_said_to_be_destroyed_and_comes_back_is_believed(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = desk.attempt_ids(matter_id)
    void(desk, desk.print())
    (result,) = come_back(desk, scanned(letter))
    assert result.result is R.RECORDED
    assert desk.statuses(matter_id) == {"returned": 1}
    assert desk.print() is None


def test_the_mail_of_another_agency_or_mode_is_not_ours(desk: Desk) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    stranger = Desk(desk.service, open_office(desk.service.db, desk.service.vault), desk.sandbox, desk.catcher)
    (unknown,) = come_back(stranger, scanned(letter))
    assert unknown.result is R.UNKNOWN_LETTER
    live = key_of(desk, desk.office.approver.officer_id, mode=Mode.LIVE)
    (mismatch,) = come_back(desk, scanned(letter), principal=live)
    assert mismatch.result is R.MODE_MISMATCH


def test_a_machine_scans_nothing_in(desk: Desk) -> None:
    (letter,) = mailed(desk, desk.approved(person(post=True)))
    with pytest.raises(Forbidden, match="scope-missing"):
        come_back(desk, scanned(letter), principal=desk.office.uploader)


def test_mail_that_comes_back_before_its_batch_is_declared_shows_that_it_was_mailed(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True), person(post=True))
    batch_id = desk.print()
    first, _ = desk.attempt_ids(matter_id)
    come_back(desk, scanned(first))
    with pytest.raises(Conflict, match="was-mailed"):
        void(desk, batch_id)
    assert declare(desk, batch_id).pieces == 2
    assert desk.statuses(matter_id) == {"returned": 1, "accepted": 1}


def test_no_personal_datum_stands_in_the_events_of_returned_mail(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    (letter,) = mailed(desk, matter_id)
    come_back(desk, scanned(letter, N.FOE, forwarding=NEW_HOME))
    said = json.dumps([desk.said(matter_id, kind) for kind in ("contact.added", "attempt.came_back")])
    assert today().isoformat() in said
    assert "Sample Avenue" not in said
