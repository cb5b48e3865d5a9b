"""What the mailroom prints can be fetched, and an officer says when it was mailed."""

import csv
from collections.abc import Callable
from io import BytesIO, StringIO
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader

from notifier.core.pieces import piece_number
from notifier.service import Service
from notifier.usecases.letters import Mailroom, compose_letters
from notifier.usecases.mailroom import close_batch
from tests.api.calling import Caller, open_matter, person
from tests.installation import NOW, Office, open_office

Counts = Callable[[], dict[str, int]]
HOME = {
    "kind": "post",
    "address": {"lines": ["1313 Test Street"], "city": "Denver", "region": "CO", "postal_code": "80203"},
}


@pytest.fixture
def batch(service: Service, office: Office, machine: Caller, approver: Caller) -> str:
    matter = open_matter(machine, people=[person(number, contacts=[HOME], language="en") for number in range(2)])
    approver.post(f"/v1/matters/{matter}/approve")
    mailroom = Mailroom(service.vault, service.renderer)
    with service.db.transaction(office.agency_id) as tx:
        assert compose_letters(tx, mailroom=mailroom, now=NOW) == 2
    with service.db.transaction(office.agency_id) as tx:
        closed = close_batch(tx, mailroom=mailroom, now=NOW)
    return str(closed)


def test_a_batch_is_listed_fetched_and_declared_mailed(batch: str, machine: Caller, approver: Caller) -> None:
    (listed,) = approver.get("/v1/print-batches").get_json()["batches"]
    assert (listed["batch_id"], listed["pieces"], listed["mailed_on"]) == (batch, 2, None)
    letters = approver.get(f"/v1/print-batches/{batch}/pdf")
    assert letters.mimetype == "application/pdf"
    assert letters.headers["Content-Disposition"] == f'attachment; filename="{batch}-pdf.pdf"'
    assert len(PdfReader(BytesIO(letters.data)).pages) >= 2
    assert approver.get(f"/v1/print-batches/{batch}/totals").data.startswith(b"%PDF")
    manifest = approver.get(f"/v1/print-batches/{batch}/manifest")
    assert manifest.mimetype == "text/csv"
    assert len(manifest.text.splitlines()) == 3
    mailed = approver.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    assert (mailed.status_code, mailed.get_json()["pieces"]) == (200, 2)
    again = approver.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    assert (again.status_code, again.get_json()["code"]) == (409, "already-declared")
    matter = machine.get("/v1/matters").get_json()["matters"][0]["matter_id"]
    assert machine.get(f"/v1/matters/{matter}").get_json()["attempts"] == {"letter": {"accepted": 2}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"mailed_on": "2026-11-21"}, "impossible-mailing-day"),
        ({"mailed_on": "2026-11-23"}, "impossible-mailing-day"),
        ({"mailed_on": "yesterday"}, "invalid-body"),
        ({}, "invalid-body"),
    ],
)
def test_an_impossible_day_is_refused(
    body: dict[str, str], code: str, batch: str, approver: Caller, count_rows: Counts
) -> None:
    before = count_rows()
    answer = approver.post(f"/v1/print-batches/{batch}/mailed", body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, code)
    assert count_rows() == before


def test_a_batch_of_another_agency_does_not_exist(batch: str, client: FlaskClient, service: Service) -> None:
    stranger = Caller(client, open_office(service.db, service.vault, name="Other Agency").personal_token)
    assert stranger.get("/v1/print-batches").get_json()["batches"] == []
    assert stranger.get(f"/v1/print-batches/{batch}/pdf").get_json()["code"] == "unknown-print-batch"
    answer = stranger.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    assert answer.get_json()["code"] == "unknown-print-batch"


def test_a_stopped_batch_is_a_conflict_that_says_so(batch: str, machine: Caller, approver: Caller) -> None:
    matter = machine.get("/v1/matters").get_json()["matters"][0]["matter_id"]
    assert machine.post(f"/v1/matters/{matter}/stop", {"reason": "safety"}).status_code == 200
    mailed = approver.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    for answer in (approver.get(f"/v1/print-batches/{batch}/pdf"), mailed):
        assert (answer.status_code, answer.get_json()["code"]) == (409, "stopped")


def test_a_machine_key_sees_no_batch(batch: str, machine: Caller) -> None:
    for address in ("/v1/print-batches", f"/v1/print-batches/{batch}/pdf"):
        answer = machine.get(address)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "scope-missing")


def test_a_file_that_a_batch_does_not_have_is_not_found(batch: str, approver: Caller) -> None:
    answer = approver.get(f"/v1/print-batches/{batch}/secrets")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "unknown-file")


def test_a_live_key_sees_no_test_batch(batch: str, client: FlaskClient, office: Office) -> None:
    live = Caller(client, office.live_token(office.approver))
    assert live.get("/v1/print-batches").get_json()["batches"] == []
    assert live.get(f"/v1/print-batches/{batch}/pdf").get_json()["code"] == "unknown-print-batch"
    answer = live.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "mode-mismatch")


def pieces_of(batch: str, approver: Caller) -> list[str]:
    rows = csv.DictReader(StringIO(approver.get(f"/v1/print-batches/{batch}/manifest").text.removeprefix("\ufeff")))
    return [row["piece_id"] for row in rows]


def test_a_batch_is_voided_and_its_letters_are_in_the_next(batch: str, approver: Caller) -> None:
    voided = approver.post(f"/v1/print-batches/{batch}/void", {})
    assert (voided.status_code, voided.get_json()["pieces"], voided.get_json()["left"]) == (200, 2, 0)
    again = approver.post(f"/v1/print-batches/{batch}/void", {})
    assert (again.status_code, again.get_json()["code"]) == (409, "already-voided")
    assert approver.get(f"/v1/print-batches/{batch}/pdf").get_json()["code"] == "batch-voided"
    (listed,) = approver.get("/v1/print-batches").get_json()["batches"]
    assert (listed["withdrawn"], listed["red"], listed["mailed_on"]) == (2, False, None)
    assert listed["voided_at"] is not None


def test_a_single_piece_is_withdrawn_by_its_number(batch: str, approver: Caller) -> None:
    first, _ = pieces_of(batch, approver)
    number = piece_number(UUID(hex=first))
    voided = approver.post(f"/v1/print-batches/{batch}/void", {"pieces": [number]})
    assert voided.get_json() == {"batch_id": batch, "pieces": 1, "left": 1}
    twice = approver.post(f"/v1/print-batches/{batch}/void", {"pieces": [number]})
    assert (twice.status_code, twice.get_json()["code"]) == (422, "not-in-batch")
    assert [error["pointer"] for error in twice.get_json()["errors"]] == ["/pieces/0"]
    mailed = approver.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    assert (mailed.get_json()["pieces"], mailed.get_json()["withdrawn"]) == (1, 1)


def test_mail_that_came_back_is_scanned_in(batch: str, machine: Caller, approver: Caller) -> None:
    first, second = pieces_of(batch, approver)
    approver.post(f"/v1/print-batches/{batch}/mailed", {"mailed_on": "2026-11-22"})
    new_home = {"lines": ["200 Sample Avenue"], "city": "Boulder", "region": "CO", "postal_code": "80301"}
    scans = [
        {
            "piece": f"{first.upper()}-1",
            "reason": "FOE",
            "returned_on": "2026-11-22",
            "forwarding_address": new_home,
        },
        {"piece": piece_number(UUID(hex=second)), "reason": "REF", "returned_on": "2026-11-22"},
        {"piece": "f" * 32, "reason": "ANK", "returned_on": "2026-11-22"},
    ]
    answer = approver.post("/v1/returned-mail", {"pieces": scans})
    assert answer.status_code == 200, answer.get_json()
    moved, refused, unknown = answer.get_json()["pieces"]
    assert (moved["result"], moved["defeats"], moved["next_step"]) == ("recorded", True, "follow_label")
    assert moved["remailed_as"] is not None
    assert (refused["defeats"], refused["remailed_as"]) == (False, None)
    assert (unknown["result"], unknown["attempt_id"]) == ("unknown_letter", None)
    matter = machine.get("/v1/matters").get_json()["matters"][0]["matter_id"]
    assert machine.get(f"/v1/matters/{matter}").get_json()["attempts"] == {"letter": {"returned": 2, "planned": 1}}
    again = approver.post("/v1/returned-mail", {"pieces": scans[:1]}).get_json()["pieces"]
    assert again == [moved | {"result": "known"}]


@pytest.mark.parametrize(
    ("scan", "pointer"),
    [
        ({"piece": "12345-67890-12344"}, "/pieces/0/piece"),
        ({"reason": "BECAUSE"}, "/pieces/0/reason"),
        ({"returned_on": "2026-11-31"}, "/pieces/0/returned_on"),
        ({"forwarding_address": {"lines": ["nowhere"]}}, "/pieces/0/forwarding_address"),
    ],
)
def test_a_scan_that_cannot_be_read_is_pointed_at_and_nothing_is_stored(
    scan: dict[str, object], pointer: str, batch: str, approver: Caller, count_rows: Counts
) -> None:
    (first, _), before = pieces_of(batch, approver), count_rows()
    line = {"piece": first, "reason": "ANK", "returned_on": "2026-11-22"} | scan
    answer = approver.post("/v1/returned-mail", {"pieces": [line]})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]
    assert "12345" not in answer.text.replace(pointer, "")
    assert count_rows() == before


def test_a_machine_key_says_nothing_for_the_mailroom(batch: str, machine: Caller) -> None:
    scan = {"piece": "f" * 32, "reason": "ANK", "returned_on": "2026-11-22"}
    for path, body in (
        (f"/v1/print-batches/{batch}/void", {}),
        ("/v1/returned-mail", {"pieces": [scan]}),
        (f"/v1/letters/{batch}/delivered", {"delivered_on": "2026-11-22", "signature": "addressee"}),
    ):
        answer = machine.post(path, body)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "scope-missing")


def test_only_a_certified_letter_has_a_receipt(batch: str, approver: Caller) -> None:
    body = {"delivered_on": "2026-11-22", "signature": "addressee"}
    first, _ = pieces_of(batch, approver)
    answer = approver.post(f"/v1/letters/{UUID(hex=first)}/delivered", body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "not-certified")
    answer = approver.post(f"/v1/letters/{batch}/delivered", body)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "unknown-letter")
    labels = {"mailed_on": "2026-11-22", "certified": [{"piece": first, "article": "9400111202555842332669"}]}
    answer = approver.post(f"/v1/print-batches/{batch}/mailed", labels)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "articles-wrong")
