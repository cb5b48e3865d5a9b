"""Certified letters: batches of their own, a number on each, and what the receipt says."""

import csv
import io
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from notifier.core.errors import Conflict, Forbidden, Invalid, NotFound
from notifier.core.model import PostService, Signature
from notifier.core.pieces import piece_number
from notifier.core.returned_mail import UspsReason
from notifier.core.status import AttemptStatus
from notifier.usecases.access import Principal
from notifier.usecases.certified import Delivered, Scan, record_certified_delivery
from tests.usecases.desk import Desk, now, person
from tests.usecases.post_office import article, certify, come_back, declare, mailed, part, scanned, today, void


def in_a_batch(desk: Desk, count: int = 1) -> tuple[UUID, UUID | None, list[UUID]]:
    matter_id = desk.approved(*(person(post=True) for _ in range(count)))
    certify(desk, matter_id)
    return matter_id, desk.print(), desk.attempt_ids(matter_id)


def deliver(
    desk: Desk,
    attempt_id: UUID,
    *,
    days: int = 0,
    signature: Signature = Signature.ADDRESSEE,
    principal: Principal | None = None,
) -> Delivered:
    with desk.tx() as tx:
        return record_certified_delivery(
            tx,
            attempt_id,
            delivered_on=today() + timedelta(days=days),
            signature=signature,
            principal=principal or desk.office.approver,
            now=now(),
        )


def test_certified_letters_are_in_batches_of_their_own(desk: Desk) -> None:
    plain = desk.approved(person(post=True))
    certified = desk.approved(person(post=True))
    certify(desk, certified)
    closed = {desk.print(), desk.close_batch()}
    services = {row.batch_id: row.service for row in desk.rows("select batch_id, service from print_batch")}
    assert services.keys() == closed
    assert services[desk.only_attempt(plain).batch_id] == "first_class"
    assert services[desk.only_attempt(certified).batch_id] == "certified"
    manifest = part(desk, desk.only_attempt(certified).batch_id, "manifest").decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(manifest))
    assert (row["service"], row["piece_number"]) == ("certified", piece_number(desk.only_attempt(certified).attempt_id))


def test_no_certified_letter_is_printed_for_an_address_abroad_and_the_others_are(desk: Desk) -> None:
    abroad = {"lines": ["Calle Ejemplo 12"], "city": "Guadalajara", "postal_code": "44100", "country": "MX"}
    matter_id = desk.approved(person("abroad", post=abroad), person(post=True))
    certify(desk, matter_id)
    assert desk.print() is not None
    rows = desk.rows("select status, reason from attempt where matter_id = :m order by status", m=matter_id)
    assert [tuple(row) for row in rows] == [("failed", "not_offered"), ("handed_over", None)]


def test_each_certified_letter_is_declared_with_the_number_of_its_label(desk: Desk) -> None:
    matter_id, batch_id, (first, second) = in_a_batch(desk, 2)
    done = declare(desk, batch_id, Scan(f"{first.hex}-1", article(11)), Scan(piece_number(second), article(12)))
    assert (done.pieces, done.service) == (2, PostService.CERTIFIED)
    rows = desk.rows("select attempt_id, carrier_ref, status from attempt where matter_id = :m", m=matter_id)
    assert {(row.attempt_id, row.carrier_ref) for row in rows} == {(first, article(11)), (second, article(12))}
    said = {leaf["data"]["article"] for leaf in desk.said(matter_id, "attempt.accepted")}
    assert said == {article(11), article(12)}


def test_a_certified_batch_is_not_declared_before_every_letter_has_its_number(desk: Desk) -> None:
    matter_id, batch_id, (first, second) = in_a_batch(desk, 2)
    with pytest.raises(Invalid, match="articles-missing"):
        declare(desk, batch_id, Scan(first.hex, article(21)))
    assert desk.statuses(matter_id) == {"handed_over": 2}
    void(desk, batch_id, second)
    assert declare(desk, batch_id, Scan(first.hex, article(21))).pieces == 1


def test_wrong_scans_of_labels_are_pointed_at_and_declare_nothing(desk: Desk) -> None:
    _, used_batch, (used,) = in_a_batch(desk)
    declare(desk, used_batch, Scan(used.hex, article(31)))
    matter_id, batch_id, (first, second) = in_a_batch(desk, 2)
    with pytest.raises(Invalid, match="articles-wrong") as refused:
        declare(
            desk,
            batch_id,
            Scan(first.hex, article(31)),  # of another letter
            Scan(first.hex, article(32)),
            Scan(first.hex, article(33)),  # a letter twice
            Scan(second.hex, article(32)),  # a label twice
            Scan(uuid4().hex, article(34)),
            Scan(second.hex, "9407100000000000000000"),
            Scan("?", "?"),
        )
    assert [(finding.pointer, finding.code) for finding in refused.value.findings] == [
        ("/certified/0/article", "used_before"),
        ("/certified/2/piece", "twice"),
        ("/certified/3/article", "used_before"),
        ("/certified/4/piece", "not_in_batch"),
        ("/certified/5/article", "not_an_article"),
        ("/certified/6/piece", "not_in_batch"),
        ("/certified/6/article", "not_an_article"),
    ]
    assert desk.statuses(matter_id) == {"handed_over": 2}


def test_first_class_letters_have_no_numbers(desk: Desk) -> None:
    matter_id = desk.approved(person(post=True))
    batch_id = desk.print()
    with pytest.raises(Invalid, match="articles-wrong"):
        declare(desk, batch_id, Scan(desk.attempt_ids(matter_id)[0].hex, article(41)))


def test_a_signed_receipt_makes_a_certified_letter_delivered(desk: Desk) -> None:
    matter_id, batch_id, (letter,) = in_a_batch(desk)
    declare(desk, batch_id, Scan(letter.hex, article(51)))
    done = deliver(desk, letter, signature=Signature.AGENT)
    assert done == Delivered(letter, today(), Signature.AGENT, AttemptStatus.DELIVERED)
    (said,) = desk.said(matter_id, "attempt.arrived")
    data = said["data"]
    assert (data["delivered_on"], data["signature"], data["article"]) == (today().isoformat(), "agent", article(51))
    with pytest.raises(Conflict, match="already-delivered"):
        deliver(desk, letter)


def test_what_came_back_was_not_delivered_and_what_was_delivered_can_come_back(desk: Desk) -> None:
    matter_id, batch_id, (first, second) = in_a_batch(desk, 2)
    declare(desk, batch_id, Scan(first.hex, article(61)), Scan(second.hex, article(62)))
    come_back(desk, scanned(first, UspsReason.REF))
    with pytest.raises(Conflict, match="already-returned"):
        deliver(desk, first)
    deliver(desk, second)
    come_back(desk, scanned(second, UspsReason.ANK))
    assert desk.statuses(matter_id)["returned"] == 2


def test_a_letter_that_is_not_mailed_or_not_certified_has_no_receipt(desk: Desk) -> None:
    _, _, (certified,) = in_a_batch(desk)
    with pytest.raises(Conflict, match="not-mailed"):
        deliver(desk, certified)
    plain = desk.approved(person(post=True))
    (letter,) = mailed(desk, plain)
    with pytest.raises(Invalid, match="not-certified"):
        deliver(desk, letter)
    with pytest.raises(NotFound, match="unknown-letter"):
        deliver(desk, uuid4())


@pytest.mark.parametrize("days", [-3, 2])
def test_an_impossible_day_of_delivery_is_refused(desk: Desk, days: int) -> None:
    _, batch_id, (letter,) = in_a_batch(desk)
    declare(desk, batch_id, Scan(letter.hex, article(70 + days)))
    with pytest.raises(Invalid, match="impossible-delivery-day"):
        deliver(desk, letter, days=days)


def test_a_machine_signs_for_nobody(desk: Desk) -> None:
    _, batch_id, (letter,) = in_a_batch(desk)
    declare(desk, batch_id, Scan(letter.hex, article(81)))
    with pytest.raises(Forbidden, match="scope-missing"):
        deliver(desk, letter, principal=desk.office.uploader)


# Where it was handed over.


def test_the_place_of_mailing_is_one_of_the_agencys(desk: Desk) -> None:
    desk.approved(person(post=True))
    batch_id = desk.print()
    with pytest.raises(Invalid, match="unknown-place"):
        declare(desk, batch_id, place="somewhere-else")
    places(desk, "denver-main", "denver-north")
    with pytest.raises(Invalid, match="unknown-place"):
        declare(desk, batch_id)
    assert declare(desk, batch_id, place="denver-north").place == "denver-north"
    assert desk.one("select place from print_batch") == "denver-north"
    (said,) = desk.said(desk.office.agency_id, "print_batch.mailed")
    assert said["data"]["place"] == "denver-north"


def test_an_agency_with_one_place_of_mailing_need_not_name_it(desk: Desk) -> None:
    places(desk, "denver-main")
    desk.approved(person(post=True))
    assert declare(desk, desk.print()).place == "denver-main"


def places(desk: Desk, *names: str) -> None:
    with desk.tx() as tx:
        tx.conn.execute(
            text("update agency set profile = jsonb_set(profile, '{mailing_places}', to_jsonb(cast(:p as text[])))"),
            {"p": list(names)},
        )
