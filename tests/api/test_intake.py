"""A demand and its list come in whole, or not at all."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import text

from notifier.service import Service
from tests.api.calling import Caller, demand, ndjson, new_matter, open_matter, person
from tests.installation import Office

Counts = Callable[[], dict[str, int]]
CSV = "text/csv; charset=utf-8"


def test_a_matter_is_opened_with_the_people_that_came_along(machine: Caller) -> None:
    answer = machine.post("/v1/matters", new_matter(people=[person(1), person(2, contacts=[])]))
    assert answer.status_code == 201
    created = answer.get_json()
    assert created["mode"] == "test"
    assert created["packs"] == ["co-agency-default"]
    assert created["people"]["rows"] == created["people"]["persons"] == 2
    assert created["people"]["unreachable"] == 1
    assert created["people"]["contacts"] == {"sms": 1, "email": 1}


def test_a_matter_needs_no_people(machine: Caller) -> None:
    answer = machine.post("/v1/matters", new_matter())
    assert answer.get_json()["people"] is None


def test_a_list_comes_as_json_ndjson_or_csv(machine: Caller) -> None:
    matter = open_matter(machine)
    as_json = json.dumps([person(1), person(2)]).encode()
    as_csv = b"external_id,name,language,phone\nP-5,Test Person,en,303-555-0105\nP-6,Test Person,,\n"
    assert machine.send_list(matter, as_json, "application/json").get_json()["rows"] == 2
    assert machine.send_list(matter, ndjson(2, first=3)).get_json()["rows"] == 2
    last = machine.send_list(matter, as_csv, CSV).get_json()
    assert (last["rows"], last["persons"], last["unreachable"]) == (2, 2, 1)
    lists = machine.get(f"/v1/matters/{matter}/lists").get_json()["lists"]
    assert {(each["format"], each["rows"]) for each in lists} == {("json", 2), ("ndjson", 2), ("csv", 2)}


def test_a_contact_that_cannot_be_used_is_kept_with_its_problem(machine: Caller, approver: Caller) -> None:
    matter = open_matter(machine)
    contacts = [{"kind": "phone", "value": "12"}, {"kind": "email", "value": "nobody at home"}]
    answer = machine.post(f"/v1/matters/{matter}/people", [person(1, contacts=contacts)])
    assert answer.status_code == 201
    assert answer.get_json()["unreachable"] == 1
    assert sum(answer.get_json()["problems"].values()) == 2
    found = approver.get(f"/v1/matters/{matter}/people").get_json()["people"][0]
    assert found["outcome"] == "unreachable"
    assert all(contact["problem"] and contact["problem_meaning"] for contact in found["contacts"])


# Each of these is refused with a problem of its own, and leaves every table as it was.
BAD_DOCUMENTS = {
    "malformed JSON": (b'{"external_id": ', 400, "not-json"),
    "no JSON at all": (b"hello", 400, "not-json"),
    "a member twice": (b'{"external_id": "a", "external_id": "b"}', 400, "not-json"),
    "not UTF-8": (b'{"external_id": "\xff"}', 400, "not-json"),
    "NaN": (b'{"external_id": NaN}', 400, "not-json"),
    "nothing": (b"", 400, "empty-body"),
    "a list": (b"[]", 422, "invalid-body"),
    "a text that holds JSON": (json.dumps(json.dumps(new_matter())).encode(), 422, "invalid-body"),
    "nested without end": (b"[" * 100_000, 400, "not-json"),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_a_document_that_is_none_stores_nothing(case: str, machine: Caller, count_rows: Counts) -> None:
    body, status, code = BAD_DOCUMENTS[case]
    before = count_rows()
    answer = machine.post("/v1/matters", body)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert count_rows() == before


def surrogate(document: dict[str, object]) -> bytes:
    """JSON with an escape for half a pair, which is valid JSON and no text."""
    return json.dumps(document).replace("@@", "\\ud800").encode()


BAD_MATTERS: dict[str, tuple[bytes, str, str, str]] = {
    "an unknown pack": (json.dumps(new_matter(packs=["no-such"])).encode(), "unknown-pack", "/packs/0", "unknown_pack"),
    "a NUL": (
        json.dumps(new_matter(demand=demand(issuer="A\0B"))).encode(),
        "invalid-body",
        "/demand/issuer",
        "not_valid",
    ),
    "a lone surrogate": (
        surrogate(new_matter(demand=demand(issuer="A@@"))),
        "invalid-body",
        "/demand/issuer",
        "lone_surrogate",
    ),
    "an unknown record type": (
        json.dumps(new_matter(demand=demand(record_types=["wages", "horoscope"]))).encode(),
        "unknown-record-type",
        "/demand/record_types/1",
        "unknown_record_type",
    ),
    "an issuer that no letter could name": (
        json.dumps(new_matter(demand=demand(issuer="\N{HANGUL SYLLABLE GIM} Office"))).encode(),
        "cannot-be-printed",
        "/demand/issuer",
        "no_glyph",
    ),
    "an impossible date": (
        json.dumps(new_matter(demand=demand(received_on="2026-02-30"))).encode(),
        "invalid-body",
        "/demand/received_on",
        "impossible_date",
    ),
    "a date as a number": (
        json.dumps(new_matter(demand=demand(dated=1_700_000_000))).encode(),
        "invalid-body",
        "/demand/dated",
        "wrong_type",
    ),
    "a year long ago": (
        json.dumps(new_matter(demand=demand(return_date="0026-12-15"))).encode(),
        "invalid-body",
        "/demand/return_date",
        "impossible_date",
    ),
    "no answer to the question about the judge": (
        json.dumps(new_matter(demand={k: v for k, v in demand().items() if k != "judge_signed"})).encode(),
        "invalid-body",
        "/demand/judge_signed",
        "missing",
    ),
    "yes in words": (
        json.dumps(new_matter(demand=demand(already_released="yes"))).encode(),
        "invalid-body",
        "/demand/already_released",
        "wrong_type",
    ),
    "a member that is not known": (
        json.dumps(new_matter(demand=demand(Secret_Member=1))).encode(),
        "invalid-body",
        "/demand",
        "unknown_field",
    ),
    "a person without a name": (
        json.dumps(new_matter(people=[person(1), {"external_id": "P-2"}])).encode(),
        "invalid-body",
        "/people/1/name",
        "missing",
    ),
    "a person twice": (
        json.dumps(new_matter(people=[person(1), person(1)])).encode(),
        "invalid-list",
        "/people/1/external_id",
        "duplicate_external_id",
    ),
    "an unknown language": (
        json.dumps(new_matter(people=[person(1, language="klingon")])).encode(),
        "invalid-list",
        "/people/0/language",
        "unknown_language",
    ),
    "a long name": (
        json.dumps(new_matter(people=[person(1, name="x" * 201)])).encode(),
        "invalid-body",
        "/people/0/name",
        "too_long",
    ),
}


@pytest.mark.parametrize("case", BAD_MATTERS)
def test_a_matter_with_a_fault_is_refused_and_stores_nothing(case: str, machine: Caller, count_rows: Counts) -> None:
    body, code, pointer, finding = BAD_MATTERS[case]
    before = count_rows()
    answer = machine.post("/v1/matters", body)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (pointer, finding)
    assert "Secret_Member" not in answer.text
    assert "klingon" not in answer.text
    assert count_rows() == before


BAD_LISTS: dict[str, tuple[bytes, str, int, str, str]] = {
    "malformed JSON in line 3": (ndjson(2) + b"{\n", "application/x-ndjson", 400, "malformed-list", "/2"),
    "malformed JSON": (b"[{", "application/json", 400, "not-json", ""),
    "an object instead of a list": (b"{}", "application/json", 422, "not-a-list", ""),
    "an empty list": (b"[]", "application/json", 422, "empty-list", ""),
    "nothing": (b"", "application/x-ndjson", 400, "empty-body", ""),
    "a NUL": (json.dumps(person(1, name="A\0B")).encode(), "application/x-ndjson", 422, "invalid-list", "/0/name"),
    "a lone surrogate": (surrogate(person(1, name="A@@")), "application/x-ndjson", 422, "invalid-list", "/0/name"),
    "somebody twice": (ndjson(3) + ndjson(1), "application/x-ndjson", 422, "invalid-list", "/3/external_id"),
    "an unknown column": (b"external_id,name,shoe_size\nP-1,A,9\n", CSV, 422, "bad-header", ""),
    "a bare NUL byte": (b"external_id,name\nP-1,A\0B\n", CSV, 422, "invalid-list", "/0/name"),
    "UTF-16": ("external_id,name\nP-1,A\n".encode("utf-16"), CSV, 400, "not-utf8", ""),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_list_with_a_fault_is_refused_whole(case: str, machine: Caller, count_rows: Counts) -> None:
    body, media, status, code, pointer = BAD_LISTS[case]
    matter = open_matter(machine)
    before = count_rows()
    answer = machine.send_list(matter, body, media)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert not pointer or problem["errors"][0]["pointer"].startswith(pointer)
    assert count_rows() == before


def test_somebody_who_is_in_the_matter_already_refuses_the_list(machine: Caller, count_rows: Counts) -> None:
    matter = open_matter(machine)
    machine.send_list(matter, ndjson(3))
    before = count_rows()
    answer = machine.send_list(matter, ndjson(2, first=2))
    assert (answer.status_code, answer.get_json()["code"]) == (422, "duplicate-external-id")
    assert answer.get_json()["errors"][0]["pointer"] == "/0/external_id"
    assert count_rows() == before


def test_a_matter_number_is_used_once(machine: Caller, count_rows: Counts) -> None:
    first = new_matter()
    assert machine.post("/v1/matters", first).status_code == 201
    before = count_rows()
    answer = machine.post("/v1/matters", first)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "duplicate-matter")
    assert count_rows() == before


@pytest.mark.parametrize(
    ("media", "encoding", "code"),
    [
        ("text/plain", "", "unsupported-media-type"),
        ("application/json; charset=latin-1", "", "unsupported-media-type"),
        ("", "", "unsupported-media-type"),
        ("application/json", "gzip", "unsupported-encoding"),
    ],
)
def test_another_content_type_is_refused(
    media: str, encoding: str, code: str, machine: Caller, count_rows: Counts
) -> None:
    matter = open_matter(machine)
    before = count_rows()
    for path in ("/v1/matters", f"/v1/matters/{matter}/people"):
        answer = machine.post(path, b"[]", Content_Type=media, Content_Encoding=encoding)
        assert (answer.status_code, answer.get_json()["code"]) == (415, code)
    assert count_rows() == before


def test_a_document_over_its_limit_is_refused(machine: Caller, count_rows: Counts) -> None:
    matter = open_matter(machine)
    before = count_rows()
    long = b'{"external_id": "' + b"x" * 10_000_000 + b'"}'
    for path in ("/v1/matters", f"/v1/matters/{matter}/people"):
        answer = machine.post(path, long)
        assert (answer.status_code, answer.get_json()["code"]) == (413, "body-too-large")
    assert count_rows() == before


def test_a_list_for_no_matter_is_refused(machine: Caller, count_rows: Counts) -> None:
    before = count_rows()
    answer = machine.send_list("00000000-0000-4000-8000-000000000000", ndjson(1))
    assert (answer.status_code, answer.get_json()["code"]) == (404, "unknown-matter")
    assert count_rows() == before


def test_what_is_stored_of_a_matter_is_sealed(machine: Caller, service: Service, office: Office) -> None:
    open_matter(machine, people=[person(1, name="Canary Person")], demand=demand(issuer="Canary Office"))
    with service.db.transaction(office.agency_id) as tx:
        for table in ("matter", "demand", "person", "contact_point", "event", "idempotency", "roster"):
            rows = tx.conn.execute(text(f"select t::text from {table} t"))  # noqa: S608 # our own tables
            for row in rows.scalars():
                assert b"Canary".hex() not in row
                assert "Canary" not in row
