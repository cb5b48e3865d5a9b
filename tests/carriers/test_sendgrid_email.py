"""The real SDK against the sandbox: one test for each thing an answer can mean."""

import asyncio
import hashlib
import json
import logging
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from notifier.carriers import open_carrier
from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.sendgrid_email import retry_after
from notifier.carriers.sendgrid_receipts import SendGridReceipts
from notifier.carriers.sendgrid_wire import HTML, TEXT, batched, payload
from notifier.carriers.timetable import Wire
from notifier.core.status import AttemptStatus, Reason, advance
from tests.sandbox import API_KEY, MAILBOX, Catcher, Reply, Sandbox

AGENCY = UUID(int=7)
HANDED_OVER = (Outcome.HANDED_OVER, None)


def mail(mailbox: str, **parts: str) -> Message:
    texts = {"subject": "Notice", "text": f"For {mailbox}", "html": f"<p>For {mailbox}</p>", **parts}
    return Message(agency_id=AGENCY, attempt_id=uuid4(), to=mailbox, **texts)


def people(*words: str) -> list[Message]:
    return [mail(f"{word}.{place}@example.com") for place, word in enumerate(words)]


def send(
    messages: Sequence[Message],
    *,
    wires: Mapping[str, Wire],
    base_url: str,
    key: str = API_KEY,
    sender: str = MAILBOX,
    tls: ssl.SSLContext | None = None,
    **changes: object,
) -> list[SendResult]:
    waits = {"timeout_seconds": 0.7, "connect_timeout_seconds": 0.5, **changes}
    wire = wires["sendgrid_email"].model_copy(update=waits)

    async def main() -> list[SendResult]:
        carrier = open_carrier(
            "sendgrid_email",
            base_url=base_url,
            api_key=key,
            sender=sender,
            sender_name="Records Office",
            wire=wire,
            tls=tls,
        )
        try:
            return await carrier.send(messages)
        finally:
            await carrier.close()

    return asyncio.run(main())


def found(messages: Sequence[Message], results: Sequence[SendResult]) -> list[tuple[Outcome, Reason | None]]:
    by_id = {result.attempt_id: result for result in results}
    assert len(by_id) == len(results) == len(messages)
    return [(by_id[message.attempt_id].outcome, by_id[message.attempt_id].reason) for message in messages]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_batch_is_one_request_and_each_person_gets_exactly_their_own_text(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    before = sandbox.summary()
    messages = [
        mail(
            f"{place}@example.org",
            subject=f"Aviso n.º {place} – “ñ” & <{place}>",
            text=f"Línea 1\r\n你好 {place} $1 \\n",
            html=f"<p>{place}</p>",
        )
        for place in range(100)
    ]
    results = send(messages, wires=wires, base_url=sandbox.url)
    assert found(messages, results) == [HANDED_OVER] * 100
    assert sandbox.summary()["counts"]["sendgrid.requests"] - before["counts"].get("sendgrid.requests", 0) == 1
    lines = {line["attempt"]: line for line in sandbox.record(after=before["lines"], kind="taken")}
    for message in messages:
        line = lines[str(message.attempt_id)]
        assert (line["to"], line["subject_sha256"]) == (message.to, sha(message.subject))
        assert (line["text_sha256"], line["html_sha256"]) == (sha(message.text), sha(message.html))
    [ref] = {result.carrier_ref for result in results}
    assert ref is not None
    assert all(line["ref"].startswith(f"{ref}.") for line in lines.values())


def test_one_bad_recipient_is_refused_and_the_rest_are_sent_once_more(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    before = sandbox.summary()
    messages = people("a", "b", "invalid", "c", "invalid", "d")
    refused = (Outcome.REFUSED, Reason.INVALID_ADDRESS)
    results = send(messages, wires=wires, base_url=sandbox.url)
    assert found(messages, results) == [HANDED_OVER, HANDED_OVER, refused, HANDED_OVER, refused, HANDED_OVER]
    assert sandbox.summary()["counts"]["sendgrid.requests"] - before["counts"]["sendgrid.requests"] == 2
    taken = {line["attempt"] for line in sandbox.record(after=before["lines"], kind="taken")}
    assert taken == {str(m.attempt_id) for m in messages if not m.to.startswith("invalid")}


@pytest.mark.parametrize(
    ("word", "outcome", "reason", "is_taken"),
    [
        ("throttled", Outcome.NOT_SENT, Reason.RATE_LIMITED, False),
        ("error", Outcome.UNKNOWN, Reason.CARRIER_ERROR, False),
        ("error-but-sent", Outcome.UNKNOWN, Reason.CARRIER_ERROR, True),
        ("timeout", Outcome.UNKNOWN, Reason.TIMED_OUT, False),
        ("timeout-but-sent", Outcome.UNKNOWN, Reason.TIMED_OUT, True),
        ("reset", Outcome.UNKNOWN, Reason.CARRIER_ERROR, False),
        ("reset-but-sent", Outcome.UNKNOWN, Reason.CARRIER_ERROR, True),
    ],
)
def test_a_request_has_one_outcome_for_all_its_people_and_is_posted_once(
    sandbox: Sandbox, wires: Mapping[str, Wire], word: str, outcome: Outcome, reason: Reason, *, is_taken: bool
) -> None:
    before = sandbox.summary()
    messages = people("a", word, "b")
    assert found(messages, send(messages, wires=wires, base_url=sandbox.url)) == [(outcome, reason)] * 3
    assert sandbox.summary()["counts"]["sendgrid.requests"] - before["counts"]["sendgrid.requests"] == 1
    assert len(sandbox.record(after=before["lines"], kind="taken")) == 3 * is_taken


def test_a_throttled_request_says_how_long_to_wait_and_passes_later(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    messages = people("throttled-once")
    [first] = send(messages, wires=wires, base_url=sandbox.url)
    assert first.retry_after is not None
    assert 0 <= first.retry_after <= 3
    assert found(messages, send(messages, wires=wires, base_url=sandbox.url)) == [HANDED_OVER]


def test_wrong_credentials_and_a_foreign_sender_blame_nobody(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    messages = people("a", "b")
    misconfigured = [(Outcome.NOT_SENT, Reason.MISCONFIGURED)] * 2
    assert found(messages, send(messages, wires=wires, base_url=sandbox.url, key="SG.x")) == misconfigured
    assert found(messages, send(messages, wires=wires, base_url=sandbox.url, sender="x@example.org")) == misconfigured


def test_nobody_listening_and_no_tls_are_proved_not_sent(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    messages = people("a", "b")
    for url in ("http://127.0.0.1:9", catcher.url().replace("http:", "https:")):
        assert (
            found(messages, send(messages, wires=wires, base_url=url)) == [(Outcome.NOT_SENT, Reason.CARRIER_ERROR)] * 2
        )


def errors(*fields: str | None) -> bytes:
    return json.dumps({"errors": [{"message": "wrong", "field": field, "help": None} for field in fields]}).encode()


MISCONFIGURED = (Outcome.NOT_SENT, Reason.MISCONFIGURED)
UNSPECIFIED = (Outcome.NOT_SENT, Reason.UNSPECIFIED)
INVALID = (Outcome.REFUSED, Reason.INVALID_ADDRESS)
BROKEN = (Outcome.UNKNOWN, Reason.CARRIER_ERROR)
OK = Reply(202, b"", (("X-Message-Id", "m"),))


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([Reply(400, errors("from.email"))], [MISCONFIGURED] * 3),
        ([Reply(400, errors("from.email", "personalizations.1.to.0.email"))], [MISCONFIGURED] * 3),
        ([Reply(400, errors("personalizations.1.custom_args")), OK], [HANDED_OVER, MISCONFIGURED, HANDED_OVER]),
        ([Reply(400, errors("personalizations.1")), OK], [HANDED_OVER, UNSPECIFIED, HANDED_OVER]),
        ([Reply(400, errors("personalizations[2].to[0].email")), OK], [HANDED_OVER, HANDED_OVER, INVALID]),
        (
            [Reply(400, errors("personalizations.0.to")), Reply(400, errors("personalizations.0.to")), OK],
            [INVALID, INVALID, HANDED_OVER],
        ),
        # Naming nobody: halves, then singles; only the one that is refused alone is left.
        (
            [Reply(400, errors(None)), OK, Reply(400, b"<html>"), Reply(400, b"{}"), OK],
            [HANDED_OVER, UNSPECIFIED, HANDED_OVER],
        ),
        ([Reply(400, errors("personalizations.9.to")), OK, OK], [HANDED_OVER] * 3),
        ([Reply(413, b"<html>413"), OK, OK], [HANDED_OVER] * 3),
        ([Reply(413), Reply(413), OK], [MISCONFIGURED, HANDED_OVER, HANDED_OVER]),
        ([Reply(302, b"", (("Location", "/v3/mail/sent"),))], [MISCONFIGURED] * 3),
        ([Reply(404, b"<html>")], [MISCONFIGURED] * 3),
        ([Reply(406)], [UNSPECIFIED] * 3),
        ([Reply(408)], [BROKEN] * 3),
        ([Reply(200)], [BROKEN] * 3),
        ([Reply(502, b"<html>")], [BROKEN] * 3),
    ],
)
def test_answers_to_a_batch_of_three(
    catcher: Catcher, wires: Mapping[str, Wire], replies: list[Reply], expected: list[tuple[Outcome, Reason | None]]
) -> None:
    catcher.replies.extend(replies)
    messages = people("a", "b", "c")
    assert found(messages, send(messages, wires=wires, base_url=catcher.url())) == expected
    assert not catcher.replies


def test_the_request_has_no_names_no_tracking_and_one_token_a_part(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    catcher.caught.clear()
    catcher.replies.append(OK)
    messages = people("a", "b")
    send(messages, wires=wires, base_url=catcher.url())
    [request] = catcher.caught
    assert request.url.endswith("/v3/mail/send")
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.body)
    assert body["from"] == {"email": MAILBOX, "name": "Records Office"}
    assert body["content"] == [{"type": "text/plain", "value": TEXT}, {"type": "text/html", "value": HTML}]
    assert [person["to"] for person in body["personalizations"]] == [[{"email": m.to}] for m in messages]
    assert body["personalizations"][0]["custom_args"] == {
        "agency": str(AGENCY),
        "attempt": str(messages[0].attempt_id),
    }
    flags = [flag for setting in body["tracking_settings"].values() for flag in setting.values()]
    assert flags == [False] * 5


def test_no_address_or_key_reaches_the_log(
    sandbox: Sandbox, wires: Mapping[str, Wire], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for word in ("a", "invalid", "throttled", "error", "reset"):
        results = send(people(word), wires=wires, base_url=sandbox.url)
        assert "example.com" not in str(results)
    assert "example.com" not in caplog.text
    assert API_KEY not in caplog.text


def batches(messages: Sequence[Message], size: int = 100) -> list[list[str]]:
    return [[message.to for message in batch] for batch in batched(messages, size)]


def test_batches_hold_at_most_so_many_and_never_a_mailbox_twice() -> None:
    messages = [mail(f"{place}@example.com") for place in range(5)]
    assert [len(batch) for batch in batches(messages, 2)] == [2, 2, 1]
    household = [mail("home@example.com"), mail("x@example.com"), mail("HOME@example.com"), mail("home@example.com")]
    assert batches(household) == [["home@example.com", "x@example.com"], ["HOME@example.com"], ["home@example.com"]]


def test_agencies_and_parts_are_never_mixed() -> None:
    other = Message(UUID(int=8), uuid4(), "b@example.com", "Text", "Notice", "<p>x</p>")
    assert len(batches([mail("a@example.com"), other])) == 2
    assert len(batches([mail("a@example.com"), mail("b@example.com", html="")])) == 2


def test_a_long_text_or_one_that_holds_a_token_goes_alone_and_whole(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    before = sandbox.summary()["lines"]
    messages = [
        mail("a@example.com"),
        mail("b@example.com", text="ñ" * 4800),
        mail("c@example.com", text=f"so {HTML} it is"),
        mail("d@example.com", subject=TEXT),
        mail("e@example.com"),
    ]
    assert [len(batch) for batch in batched(messages, 100)] == [1, 1, 1, 2]
    assert found(messages, send(messages, wires=wires, base_url=sandbox.url)) == [HANDED_OVER] * 5
    lines = {line["attempt"]: line for line in sandbox.record(after=before, kind="taken")}
    for message in messages:
        assert lines[str(message.attempt_id)]["text_sha256"] == sha(message.text)
        assert lines[str(message.attempt_id)]["subject_sha256"] == sha(message.subject)


def test_a_mail_without_html_has_one_part() -> None:
    for count in (1, 2):
        request = payload([mail(f"{place}@example.com", html="") for place in range(count)], {})
        content = request["content"]
        assert isinstance(content, list)
        assert [part["type"] for part in content] == ["text/plain"]


def test_waits_are_read_from_either_header_and_bounded() -> None:
    assert retry_after({"Retry-After": "3", "X-RateLimit-Reset": "1"}, 0.0) == 3
    assert retry_after({"X-RateLimit-Reset": "1010"}, 1000.0) == 10
    assert retry_after({"X-RateLimit-Reset": "1"}, 1000.0) == 0
    assert retry_after({"X-RateLimit-Reset": "99999999999"}, 1000.0) == 3600
    assert retry_after({"Retry-After": "999999"}, 0.0) == 3600
    assert retry_after({"Retry-After": "soon"}, 0.0) is None


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    """A carrier over TLS: its address, and a context that trusts it."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    file = tmp_path / "server.pem"
    file.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("X-Message-Id", "over-tls")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", ssl.create_default_context(cadata=pem.decode())
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_one_tls_context_serves_every_call_cheaply(
    tls_server: tuple[str, ssl.SSLContext], wires: Mapping[str, Wire]
) -> None:
    url, context = tls_server
    messages = people(*["a"] * 20)
    # The context is made before the clock runs; a call that made its own would cost some 30 ms of CPU each.
    start = time.process_time()
    results = send(
        messages, wires=wires, base_url=url, tls=context, batch=1, timeout_seconds=5, connect_timeout_seconds=4
    )
    spent = time.process_time() - start
    assert {(r.outcome, r.carrier_ref) for r in results} == {(Outcome.HANDED_OVER, "over-tls")}
    assert spent / len(messages) < 0.015


def test_a_certificate_that_is_not_trusted_is_proved_not_sent(
    tls_server: tuple[str, ssl.SSLContext], wires: Mapping[str, Wire]
) -> None:
    messages = people("a")
    results = send(messages, wires=wires, base_url=tls_server[0])
    assert found(messages, results) == [(Outcome.NOT_SENT, Reason.CARRIER_ERROR)]


LIVES = {
    "delivered": (AttemptStatus.DELIVERED, None),
    "maria": (AttemptStatus.DELIVERED, None),
    "bounced": (AttemptStatus.FAILED, Reason.MAILBOX_REFUSED),
    "blocked": (AttemptStatus.FAILED, Reason.BLOCKED),
    "dropped": (AttemptStatus.FAILED, Reason.SUPPRESSED),
    "dropped-invalid": (AttemptStatus.FAILED, Reason.INVALID_ADDRESS),
    "dropped-unsubscribed": (AttemptStatus.FAILED, Reason.OPTED_OUT),
    "dropped-complained": (AttemptStatus.FAILED, Reason.OPTED_OUT),
    "dropped-spam": (AttemptStatus.FAILED, Reason.FILTERED),
    "dropped-quota": (AttemptStatus.FAILED, Reason.MISCONFIGURED),
    "dropped-header": (AttemptStatus.FAILED, Reason.MISCONFIGURED),
    "deferred": (AttemptStatus.DELIVERED, None),
    "delivered-then-bounced": (AttemptStatus.FAILED, Reason.MAILBOX_REFUSED),
    "processed": (AttemptStatus.ACCEPTED, None),
    "silent": (AttemptStatus.HANDED_OVER, None),
    "duplicate": (AttemptStatus.DELIVERED, None),
    "reordered": (AttemptStatus.DELIVERED, None),
    "early": (AttemptStatus.DELIVERED, None),
    "broken-element": (AttemptStatus.DELIVERED, None),
    "unknown": (AttemptStatus.DELIVERED, None),
    "opened": (AttemptStatus.DELIVERED, None),
}


def test_the_sandboxs_events_lead_every_magic_mailbox_to_its_end(
    sandbox: Sandbox, catcher: Catcher, wires: Mapping[str, Wire]
) -> None:
    sandbox.settle()
    catcher.caught.clear()
    messages = people(*LIVES)
    send(messages, wires=wires, base_url=sandbox.url)
    sandbox.settle()
    reader = SendGridReceipts(public_keys=[sandbox.public_key], codes=wires["sendgrid_email"].codes)
    statuses = {m.attempt_id: AttemptStatus.HANDED_OVER for m in messages}
    reasons: dict[UUID, Reason | None] = {}
    seen: set[str] = set()
    unknown = 0
    for caught in catcher.caught:
        assert caught.body.endswith(b"\r\n")
        reader.authenticate(caught)
        for receipt in reader.parse(caught):
            unknown += not receipt.is_known
            if receipt.attempt_id in statuses and receipt.event and receipt.dedupe not in seen:
                seen.add(receipt.dedupe)
                statuses[receipt.attempt_id] = advance(statuses[receipt.attempt_id], receipt.event)
                reasons[receipt.attempt_id] = receipt.reason
    ends: dict[str, Any] = {
        word: (statuses[m.attempt_id], reasons.get(m.attempt_id)) for word, m in zip(LIVES, messages, strict=True)
    }
    assert ends == LIVES
    assert unknown == 2  # the broken element, and the word that nobody knows yet


def test_events_answered_by_an_error_come_again(sandbox: Sandbox, catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    sandbox.settle()
    catcher.caught.clear()
    catcher.replies.extend([Reply(500), Reply(503)])
    send(people("dropped"), wires=wires, base_url=sandbox.url)
    first, second, third = catcher.wait(3)
    assert first.body == second.body == third.body
