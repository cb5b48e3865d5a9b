"""What goes to SendGrid, and over which connection: batches, parts, time and TLS."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.sendgrid_email import SendGridEmail
from notifier.carriers.sendgrid_wire import HTML, TEXT, batched, payload
from notifier.carriers.timetable import Wire
from notifier.core.status import Reason
from tests.carriers.mails import HANDED_OVER, found, mail, people, send, sha
from tests.sandbox import API_KEY, MAILBOX, Sandbox


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


def test_half_a_character_costs_nobody_else_their_mail(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    messages = [mail("a.1@example.com", text="\ud800"), *people("b", "c")]
    results = send(messages, wires=wires, base_url=sandbox.url)
    assert found(messages, results)[1:] == [HANDED_OVER] * 2


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
