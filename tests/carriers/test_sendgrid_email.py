"""The real SDK against the sandbox: one test for each thing an answer can mean."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from notifier.carriers.base import Callback, Outcome
from notifier.carriers.sendgrid_receipts import SendGridReceipts
from notifier.carriers.sendgrid_wire import HTML, TEXT
from notifier.carriers.timetable import Wire
from notifier.core.status import AttemptStatus, Reason, advance
from tests.carriers.mails import AGENCY, HANDED_OVER, found, mail, people, send, sha
from tests.sandbox import API_KEY, MAILBOX, Catcher, Reply, Sandbox


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
    sandbox: Sandbox,
    catcher: Catcher,
    wires: Mapping[str, Wire],
    replies: list[Reply],
    expected: list[tuple[Outcome, Reason | None]],
) -> None:
    sandbox.settle()  # its events of what was sent before come to the same place, and would take the answers
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
