"""The real SDK against the sandbox: one test for each thing an answer can mean."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.carriers import open_carrier
from notifier.carriers.base import Message, Outcome, SendResult
from notifier.carriers.timetable import Wire
from notifier.carriers.twilio_receipts import TwilioReceipts
from notifier.carriers.twilio_sms import TwilioSms, form, judge
from notifier.core.errors import SettingsError
from notifier.core.status import AttemptEvent, Reason
from tests.sandbox import Catcher, Reply, Sandbox

PUBLIC = "https://notices.example.org"
HANDED_OVER = (Outcome.HANDED_OVER, None)


def sms(number: str, text: str = "Hay un aviso para usted. Llame al 202-555-0100.") -> Message:
    return Message(agency_id=uuid4(), attempt_id=uuid4(), to=number, text=text)


def magic(*endings: int) -> list[Message]:
    return [sms(f"+120255501{ending:02d}") for ending in endings]


def wire_of(wires: Mapping[str, Wire], **changes: object) -> Wire:
    return wires["twilio_sms"].model_copy(update={"timeout_seconds": 0.7, "connect_timeout_seconds": 0.5, **changes})


def send(
    messages: Sequence[Message],
    *,
    wire: Wire,
    base_url: str,
    public: str = PUBLIC,
    token: str = "sandbox-token",  # noqa: S107 - made up
    sender: str = "+12025550199",
) -> list[SendResult]:
    async def main() -> list[SendResult]:
        carrier = open_carrier(
            "twilio_sms",
            base_url=base_url,
            account_sid="AC" + "0123456789abcdef" * 2,
            auth_token=token,
            sender=sender,
            public_base_url=public,
            wire=wire,
        )
        try:
            return await carrier.send(messages)
        finally:
            await carrier.close()

    return asyncio.run(main())


OUTCOMES = {
    0: HANDED_OVER,
    49: HANDED_OVER,
    60: (Outcome.REFUSED, Reason.INVALID_ADDRESS),
    61: (Outcome.REFUSED, Reason.NOT_MOBILE),
    62: (Outcome.REFUSED, Reason.OPTED_OUT),
    63: (Outcome.NOT_SENT, Reason.MISCONFIGURED),
    64: (Outcome.NOT_SENT, Reason.MISCONFIGURED),
    65: (Outcome.NOT_SENT, Reason.UNSPECIFIED),
    66: (Outcome.REFUSED, Reason.UNREACHABLE),
    67: (Outcome.NOT_SENT, Reason.RATE_LIMITED),
    68: (Outcome.REFUSED, Reason.NOT_MOBILE),
    70: HANDED_OVER,
    71: HANDED_OVER,
    72: (Outcome.UNKNOWN, Reason.TIMED_OUT),
    73: (Outcome.UNKNOWN, Reason.TIMED_OUT),
    74: (Outcome.NOT_SENT, Reason.RATE_LIMITED),
    75: (Outcome.NOT_SENT, Reason.RATE_LIMITED),
    76: (Outcome.UNKNOWN, Reason.CARRIER_ERROR),
    77: (Outcome.UNKNOWN, Reason.CARRIER_ERROR),
    78: (Outcome.UNKNOWN, Reason.CARRIER_ERROR),
    79: (Outcome.UNKNOWN, Reason.CARRIER_ERROR),
    80: HANDED_OVER,
    82: HANDED_OVER,
    84: (Outcome.UNKNOWN, Reason.CARRIER_ERROR),
}
TAKEN = {0, 49, 70, 71, 72, 77, 79, 80, 82, 84}


def test_every_answer_becomes_its_outcome_and_each_message_is_posted_once(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    before = sandbox.summary()
    messages = magic(*OUTCOMES)
    results = {r.attempt_id: r for r in send(messages, wire=wire_of(wires), base_url=sandbox.url)}
    found = [(results[m.attempt_id].outcome, results[m.attempt_id].reason) for m in messages]
    assert found == list(OUTCOMES.values())
    requests = sandbox.summary()["counts"]["twilio.requests"] - before["counts"].get("twilio.requests", 0)
    assert requests == len(messages)
    taken = [line["attempt"] for line in sandbox.record(after=before["lines"], kind="taken")]
    ours = dict(zip(OUTCOMES, messages, strict=True))
    assert sorted(taken) == sorted(str(ours[ending].attempt_id) for ending in TAKEN)


def test_what_is_handed_over_carries_our_ids_the_exact_text_and_its_own_id(
    sandbox: Sandbox, catcher: Catcher, wires: Mapping[str, Wire]
) -> None:
    message = sms("+12025550101", "Señora “Ana” – ’21’ 你好 & = + %")
    [result] = send(
        [message], wire=wire_of(wires), base_url=sandbox.url, public=catcher.url(), sender="MG" + "0123456789abcdef" * 2
    )
    assert result.outcome is Outcome.HANDED_OVER
    [line] = sandbox.record(kind="taken", attempt=str(message.attempt_id))
    assert line["ref"] == result.carrier_ref
    assert line["text_sha256"] == hashlib.sha256(message.text.encode()).hexdigest()
    sandbox.settle()
    reader = TwilioReceipts(auth_tokens=[sandbox.auth_token], codes=wires["twilio_sms"].codes)
    ours = [c for c in catcher.caught if str(message.attempt_id) in c.url]
    for callback in ours:
        assert callback.url.startswith(catcher.url(f"/callbacks/twilio_sms?agency={message.agency_id}&attempt="))
        reader.authenticate(callback)
    receipts = [receipt for callback in ours for receipt in reader.parse(callback)]
    assert {r.event for r in receipts} == {AttemptEvent.ACCEPTED, AttemptEvent.ARRIVED}
    assert {(r.agency_id, r.attempt_id, r.carrier_ref) for r in receipts} == {
        (message.agency_id, message.attempt_id, result.carrier_ref)
    }


def test_a_throttled_message_is_handed_over_when_it_comes_again(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    message = magic(74)
    first = send(message, wire=wire_of(wires), base_url=sandbox.url)
    second = send(message, wire=wire_of(wires), base_url=sandbox.url)
    assert [first[0].outcome, second[0].outcome] == [Outcome.NOT_SENT, Outcome.HANDED_OVER]


def test_more_messages_than_places_wait_their_turn_and_none_is_called_late(
    sandbox: Sandbox, wires: Mapping[str, Wire]
) -> None:
    sandbox.control(answer_delay_ms=300)
    try:
        results = send(magic(*range(8)), wire=wire_of(wires, concurrency=2), base_url=sandbox.url)
    finally:
        sandbox.control(answer_delay_ms=0)
    assert {r.outcome for r in results} == {Outcome.HANDED_OVER}


def test_wrong_credentials_stop_the_line_and_blame_nobody(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    [result] = send(magic(0), wire=wire_of(wires), base_url=sandbox.url, token="another")
    assert (result.outcome, result.reason, result.carrier_code) == (Outcome.NOT_SENT, Reason.MISCONFIGURED, "20003")


def test_nobody_listening_and_no_tls_are_proved_not_sent(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    for url in ("http://127.0.0.1:9", catcher.url().replace("http:", "https:")):
        [result] = send(magic(0), wire=wire_of(wires), base_url=url)
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, Reason.CARRIER_ERROR)


@pytest.mark.parametrize(
    ("reply", "outcome", "reason"),
    [
        (Reply(201), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (Reply(201, b"[1, 2]"), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (Reply(201, b'{"sid": "nonsense"}'), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (Reply(201, b"\xff\xfe"), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (Reply(200, b"<html>"), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (
            Reply(201, b'{"sid": "SM%s", "status": "failed", "error_code": 21610}' % (b"0" * 32)),
            Outcome.REFUSED,
            Reason.OPTED_OUT,
        ),
        (Reply(302, b"", (("Location", "/elsewhere"),)), Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (Reply(404, b"<html>"), Outcome.NOT_SENT, Reason.MISCONFIGURED),
        (Reply(408), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
        (Reply(400, b'{"code": "+12025550100"}'), Outcome.NOT_SENT, Reason.UNSPECIFIED),
        (
            Reply(400, b'{"type": "t", "title": "x", "status": 400, "code": 21614}'),
            Outcome.REFUSED,
            Reason.NOT_MOBILE,
        ),
        (Reply(502, b"<html>Bad gateway"), Outcome.UNKNOWN, Reason.CARRIER_ERROR),
    ],
)
def test_answers_that_are_not_twilios(
    catcher: Catcher, wires: Mapping[str, Wire], reply: Reply, outcome: Outcome, reason: Reason
) -> None:
    catcher.replies.append(reply)
    [result] = send(magic(0), wire=wire_of(wires), base_url=catcher.url())
    assert (result.outcome, result.reason) == (outcome, reason)
    assert "0100" not in str(result)
    assert not catcher.replies


def test_a_429_says_how_long_to_wait(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    for header, seconds in (("7", 7.0), ("999999", 3600.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-1", None)):
        catcher.replies.append(Reply(429, b"", (("Retry-After", header),)))
        [result] = send(magic(0), wire=wire_of(wires), base_url=catcher.url())
        assert (result.outcome, result.retry_after) == (Outcome.NOT_SENT, seconds)


def test_the_request_has_the_parameters_that_were_decided(catcher: Catcher, wires: Mapping[str, Wire]) -> None:
    catcher.replies.append(Reply(500))
    catcher.caught.clear()
    message = sms("+12025550101", "One text")
    send([message], wire=wire_of(wires), base_url=catcher.url())
    form = parse_qs(catcher.caught[0].body.decode())
    assert form == {
        "To": ["+12025550101"],
        "From": ["+12025550199"],
        "Body": ["One text"],
        "ValidityPeriod": ["14400"],
        "SmartEncoded": ["false"],
        "StatusCallback": [
            f"{PUBLIC}/callbacks/twilio_sms?agency={message.agency_id}&attempt={message.attempt_id}#rc=3&rp=all"
        ],
    }


def test_a_region_left_in_the_environment_changes_nothing(
    sandbox: Sandbox, wires: Mapping[str, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    [result] = send(magic(0), wire=wire_of(wires), base_url=sandbox.url)
    assert result.outcome is Outcome.HANDED_OVER


def test_no_number_reaches_the_log(
    sandbox: Sandbox, wires: Mapping[str, Wire], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    results = send(magic(0, 60, 75, 76, 78), wire=wire_of(wires), base_url=sandbox.url)
    assert "2025550" not in caplog.text
    assert "2025550" not in str(results)
    assert "2025550" not in str(magic(0))


def test_a_callback_host_that_twilio_refuses_is_refused_at_start(wires: Mapping[str, Wire]) -> None:
    async def main() -> None:
        for public in ("https://notices_one.example.org", "notices"):
            with pytest.raises(SettingsError, match="PUBLIC_BASE_URL"):
                TwilioSms(
                    base_url="http://127.0.0.1:9",
                    account_sid="AC",
                    auth_token="t",
                    sender="+12025550199",
                    public_base_url=public,
                    wire=wires["twilio_sms"],
                )

    asyncio.run(main())


def test_a_hanging_carrier_costs_its_time_out_and_no_more(sandbox: Sandbox, wires: Mapping[str, Wire]) -> None:
    start = time.monotonic()
    results = send(magic(*[73] * 20), wire=wire_of(wires), base_url=sandbox.url)
    assert {r.outcome for r in results} == {Outcome.UNKNOWN}
    assert time.monotonic() - start < 3


def test_every_code_of_the_table_is_refused_or_safe_to_try_again(wires: Mapping[str, Wire]) -> None:
    codes = wires["twilio_sms"].codes
    for code, reason in codes.items():
        outcome, found = judge(400, int(code), codes)
        assert found is reason
        safe = {Reason.MISCONFIGURED, Reason.RATE_LIMITED}
        assert outcome is (Outcome.NOT_SENT if reason in safe else Outcome.REFUSED)


@given(st.dictionaries(st.text("ABab", min_size=1), st.text(st.characters(codec="utf-8"))))
def test_a_form_is_what_everybody_elses_is(fields: dict[str, str]) -> None:
    assert form(fields) == urlencode(fields).encode()


# carriers.toml against the vendor's table of errors: what each is about decides what is done.
ABOUT_US = (
    21601,
    20001,
    20003,
    20404,
    20422,
    21212,
    21408,
    21603,
    21604,
    21606,
    21609,
    21617,
    21619,
    21624,
    21701,
    21705,
)
ABOUT_THE_LINE = (21611, 60728, 63038)
ABOUT_THE_NUMBER = (21211, 21610, 21612, 21614, 21635)
TOLD_LATER = (
    *(30001, 30002, 30003, 30004, 30005, 30006, 30007, 30008),
    *(30021, 30022, 30023, 30032, 30034, 30036, 30410, 30450, 30500),
)


def test_every_code_of_the_vendors_table_is_known_and_nobody_is_blamed_for_what_is_about_us(
    wires: Mapping[str, Wire],
) -> None:
    codes = wires["twilio_sms"].codes
    assert set(map(int, codes)) >= {*ABOUT_US, *ABOUT_THE_LINE, *ABOUT_THE_NUMBER, *TOLD_LATER}
    for code in ABOUT_US:
        assert judge(400, code, codes) == (Outcome.NOT_SENT, Reason.MISCONFIGURED)
    for code in ABOUT_THE_LINE:
        assert judge(400, code, codes) == (Outcome.NOT_SENT, Reason.RATE_LIMITED)
    for code in ABOUT_THE_NUMBER:
        outcome, reason = judge(400, code, codes)
        assert outcome is Outcome.REFUSED
        assert reason not in {Reason.MISCONFIGURED, Reason.RATE_LIMITED, Reason.CARRIER_ERROR}
    assert judge(400, 29999, codes) == (
        Outcome.NOT_SENT,
        Reason.UNSPECIFIED,
    )  # not known: tried again, and not for ever
