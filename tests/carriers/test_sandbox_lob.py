"""Lob's side of the sandbox is as strict as the vendor: asked by hand."""

import hashlib
import json
from base64 import b64encode
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import pikepdf
import pytest

from notifier.carriers.sandbox.lob_magic import LETTERS
from notifier.carriers.sandbox.lob_rules import file_fault
from tests.carriers.post import pages, saved
from tests.sandbox import LOB_KEY, Catcher, Reply, Sandbox, wait_for

GOOD = {
    "to[name]": "Sample Person",
    "to[address_line1]": "100 Waiting Example Street",
    "to[address_city]": "Denver",
    "to[address_state]": "CO",
    "to[address_zip]": "80203",
    "from[name]": "Example Agency",
    "from[address_line1]": "PO Box 100",
    "from[address_city]": "Denver",
    "from[address_state]": "CO",
    "from[address_zip]": "80201",
    "color": "false",
    "use_type": "operational",
}
BASIC = "Basic " + b64encode(f"{LOB_KEY}:".encode()).decode()


def multipart(fields: dict[str, str], file: bytes | None) -> tuple[bytes, str]:
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n'
        parts.append(head.encode() + b"Content-Type: application/pdf\r\n\r\n" + file + b"\r\n")
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def ask(
    sandbox: Sandbox, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    given = {"Authorization": BASIC, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = Request(f"{sandbox.url}/v1/{path}", body, given, method=method)  # noqa: S310 - loopback
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read()), dict(answer.headers)
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), dict(error.headers)


def make(
    sandbox: Sandbox,
    changes: dict[str, str] | None = None,
    *,
    file: bytes | None = b"",
    path: str = "letters",
    key: str = "",
) -> tuple[int, Any, dict[str, str]]:
    fields = {name: value for name, value in {**GOOD, **(changes or {})}.items() if value}
    body, kind = multipart(fields, pages() if file == b"" else file)
    more = {"Idempotency_Key": key} if key else {}
    return ask(sandbox, "POST", path, body, Content_Type=kind, **more)


def code(answer: tuple[int, Any, dict[str, str]]) -> tuple[int, str]:
    status, body, _ = answer
    assert body["error"]["status_code"] == status
    return status, body["error"]["code"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to[name]": ""}, "invalid"),
        ({"to[name]": "N" * 41}, "invalid"),
        ({"to[address_line1]": ""}, "invalid"),
        ({"to[address_line1]": "x" * 65}, "invalid"),
        ({"to[address_line1]": "x" * 26, "to[address_line2]": "x" * 25}, "address_length_exceeds_limit"),
        ({"to[address_city]": ""}, "invalid"),
        ({"to[address_state]": "Colorado"}, "invalid"),
        ({"to[address_zip]": "8020"}, "invalid"),
        ({"to[address_zip]": "80203 1234"}, "invalid"),
        ({"to[address_country]": "MEXICO"}, "invalid"),
        ({"to[address_country]": "MX", "extra_service": "certified"}, "invalid_international_feature"),
        ({"to[address_country]": "MX", "to[address_line2]": "x" * 201}, "invalid"),
        ({"to[address_country]": "MX", "to[address_zip]": "1" * 41}, "invalid"),
        ({"from[address_country]": "CA"}, "foreign_return_address"),
        ({"from[address_line1]": ""}, "invalid"),
        ({"color": ""}, "invalid"),
        ({"color": "grey"}, "invalid"),
        ({"use_type": ""}, "invalid"),
        ({"address_placement": "anywhere"}, "invalid"),
        ({"extra_service": "registered"}, "invalid_international_feature"),
        ({"extra_service": "certified", "mail_type": "usps_standard"}, "invalid"),
        ({"metadata[attempt]": 'a"b'}, "invalid"),
        ({"metadata[attempt]": "x" * 501}, "invalid"),
        ({f"metadata[n{number}]": "x" for number in range(21)}, "invalid"),
        ({"colour": "false"}, "invalid"),
        ({"to[planet]": "Earth"}, "invalid"),
        ({"merge_variables[name]": "x"}, "invalid"),
    ],
)
def test_a_wrong_letter_is_refused_with_the_vendors_code(
    sandbox: Sandbox, changes: dict[str, str], expected: str
) -> None:
    assert code(make(sandbox, changes)) == (422, expected)


def test_a_right_letter_is_made_and_recorded(sandbox: Sandbox) -> None:
    attempt, file = str(uuid4()), pages()
    status, made, headers = make(sandbox, {"metadata[attempt]": attempt, "to[address_zip]": "80203-1234"}, file=file)
    assert (status, made["object"], made["metadata"]) == (200, "letter", {"attempt": attempt})
    [line] = sandbox.record(kind="taken", attempt=attempt)
    assert (line["ref"], line["text_sha256"]) == (made["id"], hashlib.sha256(file).hexdigest())
    assert headers["X-Rate-Limit-Limit"] == "150"
    assert ask(sandbox, "GET", f"letters/{made['id']}")[1]["to"]["address_city"] == "DENVER"


def helvetica() -> bytes:
    """A page whose font is only named."""
    with pikepdf.new() as document:
        page = document.add_blank_page(page_size=(612, 792))
        font = {"/Type": pikepdf.Name.Font, "/Subtype": pikepdf.Name.Type1, "/BaseFont": pikepdf.Name.Helvetica}
        page.obj["/Resources"] = pikepdf.Dictionary({"/Font": pikepdf.Dictionary({"/F1": pikepdf.Dictionary(font)})})
        return saved(document)


def locked(user: str) -> bytes:
    with pikepdf.new() as document:
        document.add_blank_page(page_size=(612, 792))
        return saved(document, encryption=pikepdf.Encryption(owner="owner", user=user))


def two_sizes() -> bytes:
    with pikepdf.new() as document:
        document.add_blank_page(page_size=(612, 792))
        document.add_blank_page(page_size=(612, 1008))
        return saved(document)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (None, "invalid"),
        (b"<html>", "invalid_file"),
        (locked("user"), "pdf_encrypted"),
        (locked(""), "pdf_encrypted"),
        (helvetica(), "unembedded_fonts"),
        (two_sizes(), "inconsistent_page_dimensions"),
        (pages(size=(595, 842)), "invalid_file_dimensions"),
        (pages(0), "file_pages_below_min"),
        (pages(121), "file_pages_exceed_max"),
        (pages() + b"\0" * 5_000_000, "file_size_exceeds_limit"),
    ],
)
def test_a_wrong_file_is_refused_with_the_vendors_code(sandbox: Sandbox, file: bytes | None, expected: str) -> None:
    assert code(make(sandbox, file=file)) == (422, expected)


def test_a_right_file_is_not_refused() -> None:
    assert file_fault(pages()) is None


def test_a_form_that_uploads_nothing_is_refused(sandbox: Sandbox) -> None:
    assert code(ask(sandbox, "POST", "letters", json.dumps(GOOD).encode(), Content_Type="application/json"))[0] == 422
    assert code(ask(sandbox, "POST", "letters", b"--x", Content_Type="multipart/form-data; boundary=edge"))[0] == 422


def test_the_same_key_gives_the_same_letter_whatever_the_body_says(sandbox: Sandbox) -> None:
    key = str(uuid4())
    first, second = make(sandbox, key=key)[1], make(sandbox, {"to[name]": "Another Person"}, key=key)[1]
    assert first["id"] == second["id"]
    assert second["to"]["name"] == "Sample Person"
    assert make(sandbox)[1]["id"] != first["id"]


def test_a_key_in_the_query_or_too_long_is_refused(sandbox: Sandbox) -> None:
    assert code(make(sandbox, path="letters?idempotency_key=a", key="a")) == (422, "bad_request")
    assert code(make(sandbox, key="k" * 257)) == (422, "bad_request")


def test_letters_are_listed_newest_first_by_metadata_and_page_by_page(sandbox: Sandbox) -> None:
    wave = str(uuid4())
    ids = [make(sandbox, {"metadata[wave]": wave})[1]["id"] for _ in range(3)]
    _, first, _ = ask(sandbox, "GET", f"letters?metadata[wave]={wave}&limit=2")
    assert [one["id"] for one in first["data"]] == ids[:0:-1]
    _, second, _ = ask(sandbox, "GET", first["next_url"].partition("/v1/")[2])
    assert ([one["id"] for one in second["data"]], second["next_url"]) == (ids[:1], None)
    assert ask(sandbox, "GET", f"letters?metadata[wave]={uuid4()}")[1]["data"] == []


def test_a_wrong_question_is_refused(sandbox: Sandbox) -> None:
    assert code(ask(sandbox, "GET", "letters?limit=101")) == (422, "invalid")
    assert code(ask(sandbox, "GET", "letters?limit=many")) == (422, "invalid")
    assert code(ask(sandbox, "GET", "letters?attempt=x")) == (422, "invalid")
    assert code(ask(sandbox, "GET", "letters/ltr_0")) == (404, "not_found")
    assert code(ask(sandbox, "DELETE", "letters/ltr_0")) == (404, "not_found")
    assert code(ask(sandbox, "GET", "postcards")) == (404, "unrecognized_endpoint")
    assert code(ask(sandbox, "PUT", "letters/ltr_0")) == (404, "unrecognized_endpoint")
    assert code(ask(sandbox, "GET", "letters", Authorization="Basic eA==")) == (401, "unauthorized")


def test_a_letter_is_taken_back_within_the_window_only(sandbox: Sandbox) -> None:
    early, late = make(sandbox)[1]["id"], make(sandbox)[1]["id"]
    assert ask(sandbox, "DELETE", f"letters/{early}")[:2] == (200, {"id": early, "deleted": True})
    assert code(ask(sandbox, "DELETE", f"letters/{early}")) == (404, "not_found")
    assert ask(sandbox, "GET", f"letters/{early}")[1]["deleted"] is True
    sandbox.control(cancel_window_ms=0)
    assert code(ask(sandbox, "DELETE", f"letters/{late}")) == (422, "not_deletable")
    sandbox.control(cancel_window_ms=300_000)


def test_too_many_requests_are_refused_and_told_when_to_come_back(sandbox: Sandbox) -> None:
    sandbox.control(letters_per_5_seconds=0)
    answer = make(sandbox)
    sandbox.control(letters_per_5_seconds=150)
    assert code(answer) == (429, "rate_limit_exceeded")
    assert answer[2]["X-Rate-Limit-Remaining"] == "0"
    assert int(answer[2]["X-Rate-Limit-Reset"]) % 5 == 0


def test_an_event_is_posted_until_it_is_taken_and_a_copy_keeps_its_id(sandbox: Sandbox, catcher: Catcher) -> None:
    sandbox.settle()
    sandbox.control(lob_webhook_url=catcher.url("/callbacks/lob_letter"))
    seen = len(catcher.caught)
    catcher.replies.append(Reply(500))
    attempt = str(uuid4())
    make(sandbox, {"to[address_line1]": "100 Duplicate Example Street", "metadata[attempt]": attempt})
    wait_for(lambda: len(catcher.caught) >= seen + 7, 10)
    sandbox.control(lob_webhook_url="")
    events = [json.loads(callback.body) for callback in catcher.caught[seen:]]
    assert [event["event_type"]["id"] for event in events] == [
        *["letter.created"] * 2,
        *["letter.mailed"] * 2,
        *["letter.delivered"] * 3,
    ]
    assert len({event["id"] for event in events}) == 3
    assert [line["http"] for line in sandbox.record(kind="receipt", attempt=attempt)] == [500, *[204] * 6]


def test_every_outcome_has_a_name_of_its_own() -> None:
    names = [plan.name for plan in LETTERS.values()]
    assert len(set(names)) == len(names)
