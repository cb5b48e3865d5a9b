"""The real SDK against the sandbox: one test for each thing an answer can mean."""

import asyncio
import hashlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from notifier.carriers import open_carrier
from notifier.carriers.base import Callback, Message, Outcome, SendResult
from notifier.carriers.sendgrid_email import SendGridEmail
from notifier.carriers.sendgrid_receipts import SendGridReceipts
from notifier.carriers.sendgrid_wire import HTML, TEXT, batched, payload
from notifier.carriers.timetable import Wire
from notifier.core.status import AttemptStatus, Reason, advance
from tests.sandbox import API_KEY, MAILBOX, Catcher, Reply, Sandbox

AGENCY = UUID(int=7)
HANDED_OVER = (Outcome.HANDED_OVER, None)


def mail(mailbox: str, *, subject: str = "Notice", text: str | None = None, html: str | None = None) -> Message:
    return Message(
        agency_id=AGENCY,
        attempt_id=uuid4(),
        to=mailbox,
        subject=subject,
        text=f"For {mailbox}" if text is None else text,
        html=f"<p>For {mailbox}</p>" if html is None else html,
    )


def people(*words: str) -> list[Message]:
    return [mail(f"{word}.{place}@example.com") for place, word in enumerate(words)]


def send(
    messages: Sequence[Message],
    *,
    wires: Mapping[str, Wire],
    base_url: str,
    key: str = API_KEY,
    sender: str = MAILBOX,
    **changes: object,
) -> list[SendResult]:
    waits = {"timeout_seconds": 1.5, "connect_timeout_seconds": 1.0, **changes}
    wire = wires["sendgrid_email"].model_copy(update=waits)

    async def main() -> list[SendResult]:
        carrier = open_carrier(
            "sendgrid_email",
            base_url=base_url,
            api_key=key,
            sender=sender,
            sender_name="Records Office",
            wire=wire,
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
        (
            [Reply(400, errors("personalizations")), OK, Reply(400, errors("personalizations.1.to")), OK],
            [HANDED_OVER, HANDED_OVER, INVALID],
        ),
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


def requests(catcher: Catcher) -> list[Callback]:
    """What came to it as a carrier; a sandbox may still be posting events to it as to us."""
    return [caught for caught in catcher.caught if caught.url.endswith("/v3/mail/send")]


def test_what_a_slow_refusal_leaves_no_time_for_is_not_sent_and_not_asked(
    catcher: Catcher, wires: Mapping[str, Wire]
) -> None:
    catcher.caught.clear()
    for fields in (["personalizations.1.to.0.email"], [None]):
        catcher.replies.append(Reply(400, errors(*fields), after=0.6))
        messages = people("a", "b", "c")
        results = send(messages, wires=wires, base_url=catcher.url(), timeout_seconds=1)
        left = [result for result in results if result.outcome is Outcome.NOT_SENT]
        assert {(result.reason, result.carrier_code) for result in left} == {(Reason.CARRIER_ERROR, "no-time")}
        assert len(left) == (2 if fields[0] else 3)
    assert len(requests(catcher)) == 2


def test_the_last_call_for_a_batch_ends_with_the_time_of_one(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    catcher.replies.extend([Reply(400, errors("personalizations.1.to"), after=0.4), Reply(202, after=1.5)])
    messages = people("a", "b", "c")
    began = time.monotonic()
    results = send(messages, wires=wires, base_url=catcher.url(), timeout_seconds=1)
    assert found(messages, results) == [
        (Outcome.UNKNOWN, Reason.TIMED_OUT),
        INVALID,
        (Outcome.UNKNOWN, Reason.TIMED_OUT),
    ]
    assert time.monotonic() - began < 1.4


def test_more_than_a_hundred_people_are_more_than_one_request(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    before = sandbox.summary()["counts"]["sendgrid.requests"]
    messages = [mail(f"{place}@example.org") for place in range(201)]
    assert found(messages, send(messages, wires=wires, base_url=sandbox.url)) == [HANDED_OVER] * 201
    assert sandbox.summary()["counts"]["sendgrid.requests"] - before == 3
    sandbox.settle()


def test_the_request_has_no_names_no_tracking_and_one_token_a_part(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    catcher.caught.clear()
    catcher.replies.append(OK)
    messages = people("a", "b")
    send(messages, wires=wires, base_url=catcher.url())
    [request] = requests(catcher)
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.body)
    # No mail_settings and no asm: nobody's suppression is bypassed without a legal basis on record.
    assert body.keys() == {"from", "personalizations", "content", "tracking_settings"}
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


def dripping(seconds: float) -> Iterator[str]:
    """A carrier that answers drop by drop, for so long; its address."""
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 202 Accepted\r\n")
            end = time.monotonic() + seconds
            while time.monotonic() < end and not gone.wait(0.05):
                connection.sendall(b"X: 1\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        gone.set()
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def slow_carrier() -> Iterator[str]:
    yield from dripping(20)


def test_a_carrier_that_answers_drop_by_drop_holds_no_thread_for_longer_than_a_call(
    slow_carrier: str, wires: Mapping[str, Wire]
) -> None:
    began = time.monotonic()
    results = send(people(*"abc"), wires=wires, base_url=slow_carrier, batch=1, concurrency=1, timeout_seconds=0.4)
    assert {result.outcome for result in results} == {Outcome.UNKNOWN}
    while any(thread.name.startswith("sendgrid_email") for thread in threading.enumerate()):
        assert time.monotonic() - began < 8
        time.sleep(0.05)


def test_what_no_thread_was_free_for_has_not_been_sent(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    wire = wires["sendgrid_email"].model_copy(update={"timeout_seconds": 0.5, "concurrency": 1})
    before = sandbox.summary()["lines"]

    async def main() -> list[SendResult]:
        carrier = SendGridEmail(base_url=sandbox.url, api_key=API_KEY, sender=MAILBOX, wire=wire)
        carrier._threads.submit(time.sleep, 1.5)  # noqa: SLF001 # stands for a call that goes on behind our back
        try:
            return await carrier.send(people("a"))
        finally:
            await carrier.close()

    [result] = asyncio.run(main())
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, Reason.TIMED_OUT)
    assert sandbox.summary()["lines"] == before


def test_every_call_over_tls_shares_what_is_costly(
    tls_sandbox: Sandbox, wires: Mapping[str, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that loaded the authorities for itself would cost some 30 ms of CPU."""
    monkeypatch.setenv("SSL_CERT_FILE", tls_sandbox.ca_file)
    messages = people(*["a"] * 30)
    spent = []
    for url in (tls_sandbox.url, tls_sandbox.tls_url):
        start = time.process_time()
        results = send(messages, wires=wires, base_url=url, batch=1, timeout_seconds=10, connect_timeout_seconds=8)
        spent.append(time.process_time() - start)
        assert found(messages, results) == [HANDED_OVER] * 30
    assert (spent[1] - spent[0]) / len(messages) < 0.015


def test_a_certificate_that_is_not_trusted_is_proved_not_sent(tls_sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    messages = people("a")
    results = send(messages, wires=wires, base_url=tls_sandbox.tls_url)
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
