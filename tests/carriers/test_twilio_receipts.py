import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt, Message, Outcome
from notifier.carriers.timetable import Wire
from notifier.carriers.twilio_receipts import EVENTS, MAX_FIELDS, OVERRIDE, TwilioReceipts, _fields
from notifier.carriers.twilio_sms import TwilioSms
from notifier.core.status import AttemptEvent, AttemptStatus, Reason, advance
from tests.sandbox import Catcher, Sandbox

TOKEN = "12345"
SID = "SM" + "0a" * 16
AGENCY, ATTEMPT = UUID(int=7), UUID(int=8)
URL = f"https://notices.example.org/callbacks/twilio_sms?agency={AGENCY}&attempt={ATTEMPT}"
CODES = {"30003": Reason.UNREACHABLE, "30005": Reason.NUMBER_DEAD}
E = AttemptEvent
quick = settings(deadline=None, max_examples=200)


def reader(*tokens: str) -> TwilioReceipts:
    return TwilioReceipts(auth_tokens=tokens or (TOKEN,), codes=CODES)


def callback(
    body: bytes | Mapping[str, str],
    *,
    url: str = URL,
    signed_url: str | None = None,
    token: str = TOKEN,
    **headers: str,
) -> Callback:
    """A callback signed by the SDK's own code, unless it brings a signature."""
    raw = body if isinstance(body, bytes) else urlencode(body).encode()
    fields = {} if isinstance(body, bytes) else dict(body)
    found = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-twilio-signature": RequestValidator(token).compute_signature(signed_url or url, fields),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Callback(url, found, raw, datetime.now(UTC))


def status(word: str, code: str = "") -> dict[str, str]:
    fields = {"MessageSid": SID, "MessageStatus": word, "To": "+12025550101", "SmsStatus": word}
    return {**fields, "ErrorCode": code} if code else fields


def read(word: str, code: str = "") -> CarrierReceipt:
    [receipt] = reader().parse(callback(status(word, code)))
    return receipt


def refusal(given: Callback, *tokens: str) -> str:
    with pytest.raises(CallbackRefused) as refused:
        reader(*tokens).authenticate(given)
    return refused.value.code


def test_the_vendors_documented_example_is_accepted() -> None:
    # Token, address, numbers and signature are those of the vendor's published example.
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    given = callback(fields, url=url, x_twilio_signature="RSOYDt4T1cUTdK1PDd93/VVr8B8=")
    reader("12345").authenticate(given)
    assert refusal(given, "12346") == "signature"


def test_a_signature_over_the_url_with_or_without_its_port_is_accepted() -> None:
    with_port, without = "https://notices.example.org:443/x?a=1", "https://notices.example.org/x?a=1"
    for url, signed_url in ((with_port, without), (without, with_port), (with_port, with_port), (without, without)):
        reader().authenticate(callback(status("sent"), url=url, signed_url=signed_url))
    other = "https://notices.example.org:8443/x?a=1"
    reader().authenticate(callback(status("sent"), url=other, signed_url=without))
    assert refusal(callback(status("sent"), url=without, signed_url=other)) == "signature"


def test_a_signature_over_the_address_as_it_was_told_is_accepted_and_over_another_fragment_is_not() -> None:
    for signed_url in (f"{URL}#{OVERRIDE}", f"{URL.replace('.org/', '.org:443/')}#{OVERRIDE}"):
        reader().authenticate(callback(status("sent"), signed_url=signed_url))
    assert refusal(callback(status("sent"), signed_url=f"{URL}#rc=5")) == "signature"


def test_an_empty_query_may_be_signed_or_not() -> None:
    plain = "https://notices.example.org/callbacks/twilio_inbound"
    for url, signed_url in ((plain, f"{plain}?"), (f"{plain}?", plain), (f"{plain}?", f"{plain}?")):
        reader().authenticate(callback(status("received"), url=url, signed_url=signed_url))
    reader().authenticate(callback(status("sent"), url=f"{URL}?"))
    assert refusal(callback(status("sent"), signed_url=f"{URL}?")) == "signature"


@pytest.mark.parametrize(
    "query",
    ["attempt=2&agency=1", "a=%C3%A9&a=%20&b=+", "a=1&a=1&a=0", "%61=1", "a=;b&&=", "a=%2F%2f", "q=é", "a=[1]&b={2}"],
)
def test_the_address_is_signed_as_it_came_whatever_its_query(query: str) -> None:
    url = f"https://notices.example.org/callbacks/twilio_sms?{query}"
    fields = {"MessageSid": SID, "MessageStatus": "sent", "Body": "¡Señora! 你好 🙂 &=+%"}
    given = callback(fields, url=url)
    assert RequestValidator(TOKEN).validate(url, fields, given.headers["x-twilio-signature"])
    reader().authenticate(given)


def test_the_secondary_token_is_accepted_while_tokens_change() -> None:
    given = callback(status("sent"), token="new")
    reader("old", "new").authenticate(given)
    assert refusal(given, "old") == "signature"
    assert refusal(given, "") == "signature"


def test_a_callback_for_another_attempt_is_refused() -> None:
    other = URL.replace(str(ATTEMPT), str(uuid4()))
    assert refusal(callback(status("delivered"), url=other, signed_url=URL)) == "signature"


def test_a_changed_field_is_refused() -> None:
    given = callback(status("undelivered"))
    changed = given.body.replace(b"undelivered", b"delivered")
    assert refusal(Callback(given.url, given.headers, changed, given.received_at)) == "signature"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (callback(b"{}", content_type="application/json"), "content_type"),
        (callback(b"{}", url=URL + "&bodySHA256=00", content_type="application/json"), "content_type"),
        (callback(status("sent"), content_type=""), "content_type"),
        (callback(status("sent"), x_twilio_signature=""), "signature_missing"),
        (callback(status("sent"), x_twilio_signature="é\ud800%%%"), "signature"),
        (callback(status("sent"), x_twilio_signature="AAAA="), "signature"),
        (callback(b"MessageSid=\xff\xfe"), "body"),
        (callback(b"MessageSid=%ff%fe"), "body"),
        (callback(b"&".join(b"a=%d" % n for n in range(300))), "body"),
        (callback(status("sent"), url="https://[nonsense/"), "body"),
        (callback(b'{"MessageSid": 1}'), "signature"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_proved_is_refused_by_name(given: Callback, code: str) -> None:
    assert refusal(given) == code


@quick
@given(st.dictionaries(st.text(), st.text(), max_size=6), st.text(min_size=1), st.booleans())
def test_our_check_and_the_sdks_agree(fields: dict[str, str], token: str, is_same: bool) -> None:  # noqa: FBT001
    given = callback(fields, token=token)
    tokens = token if is_same else token + "x"
    oracle = RequestValidator(tokens).validate(URL, fields, given.headers["x-twilio-signature"])
    try:
        reader(tokens).authenticate(given)
        ours = True
    except CallbackRefused:
        ours = False
    assert ours == oracle


ANY_TEXT = st.text(st.characters(exclude_categories=()))
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "x-twilio-signature", "host"]),
    st.sampled_from(["application/x-www-form-urlencoded", ""]) | ANY_TEXT,
)
BODIES = st.binary() | st.sampled_from([b"", b"&&==", b"a=1;b=2", b"MessageSid=%s" % SID.encode(), b"%", b"\x00"])


@quick
@given(st.sampled_from([URL, "", "http://[", "//", URL + "&attempt=x"]) | ANY_TEXT, HEADERS, BODIES)
def test_nothing_hostile_is_ever_more_than_a_refusal_or_an_unreadable_receipt(
    url: str, headers: dict[str, str], body: bytes
) -> None:
    hostile = Callback(url, headers, body, datetime.now(UTC))
    with pytest.raises(CallbackRefused):
        reader().authenticate(hostile)
    [receipt] = reader().parse(hostile)
    assert (receipt.is_known, receipt.event) == (False, None)


@quick
@given(st.lists(st.tuples(st.sampled_from(["MessageSid", "MessageStatus", "ErrorCode", "X"]), st.text()), max_size=8))
def test_whatever_twilio_signs_becomes_one_receipt_that_can_be_stored(fields: list[tuple[str, str]]) -> None:
    signature = RequestValidator(TOKEN).compute_signature(URL, Several(fields))
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
    given = Callback(URL, headers, urlencode(fields).encode(), datetime.now(UTC))
    reader().authenticate(given)
    [receipt] = reader().parse(given)
    for text in (receipt.dedupe, receipt.carrier_word, receipt.carrier_ref, receipt.carrier_code):
        assert text is None or (text.isascii() and text.isprintable() and len(text) <= 100)


class Several(dict[str, str]):
    """A form with repeated names, in the shape the SDK reads."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        super().__init__(fields)
        self.fields = fields

    def getall(self, wanted: str) -> list[str]:
        return [value for name, value in self.fields if name == wanted]


def test_each_word_of_theirs_has_its_event() -> None:
    assert {word: read(word).event for word in EVENTS} == EVENTS
    assert all(read(word).is_known for word in EVENTS)
    assert read("sent").event is E.ACCEPTED
    assert read("queued").event is E.HANDED_OVER
    assert read("delivered").event is E.ARRIVED


def test_a_failure_has_our_reason_and_their_code() -> None:
    receipt = read("undelivered", "30005")
    assert (receipt.event, receipt.reason, receipt.carrier_code) == (E.REFUSED, Reason.NUMBER_DEAD, "30005")
    assert read("failed", "39999").reason is Reason.UNSPECIFIED
    assert read("failed").reason is Reason.UNSPECIFIED
    assert read("delivered").reason is None


def test_a_word_that_nobody_knows_yet_is_kept_and_changes_nothing() -> None:
    receipt = read("teleported")
    assert (receipt.event, receipt.is_known, receipt.carrier_word) == (None, False, "teleported")
    assert (receipt.agency_id, receipt.attempt_id) == (AGENCY, ATTEMPT)


def test_the_same_fact_told_twice_has_the_same_dedupe_and_another_fact_has_not() -> None:
    assert read("sent").dedupe == read("sent").dedupe
    assert len({read(word).dedupe for word in EVENTS}) == len(EVENTS)


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"?agency={AGENCY}",
        f"?agency={AGENCY}&attempt={ATTEMPT.hex}",
        f"?agency={AGENCY}&attempt={{{ATTEMPT}}}",
        f"?agency={AGENCY}&attempt={ATTEMPT}&attempt={AGENCY}",
        f"?agency={AGENCY}&attempt=%00",
    ],
)
def test_a_callback_that_names_no_attempt_of_ours_names_none(query: str) -> None:
    given = callback(status("sent"), url=f"https://notices.example.org/callbacks/twilio_sms{query}")
    reader().authenticate(given)
    [receipt] = reader().parse(given)
    assert (receipt.agency_id, receipt.attempt_id, receipt.event) == (None, None, E.ACCEPTED)


def test_two_different_statuses_in_one_callback_are_nobodys_word() -> None:
    [receipt] = reader().parse(callback(urlencode(status("sent")).encode() + b"&MessageStatus=delivered"))
    assert (receipt.is_known, receipt.event, receipt.attempt_id) == (False, None, ATTEMPT)


LIVES = {
    0: (AttemptStatus.DELIVERED, None),
    50: (AttemptStatus.FAILED, Reason.UNREACHABLE),
    51: (AttemptStatus.FAILED, Reason.BLOCKED),
    52: (AttemptStatus.FAILED, Reason.NUMBER_DEAD),
    53: (AttemptStatus.FAILED, Reason.NOT_MOBILE),
    54: (AttemptStatus.FAILED, Reason.FILTERED),
    55: (AttemptStatus.FAILED, Reason.CARRIER_ERROR),
    56: (AttemptStatus.FAILED, Reason.EXPIRED),
    57: (AttemptStatus.FAILED, Reason.RATE_LIMITED),
    58: (AttemptStatus.FAILED, Reason.MISCONFIGURED),
    59: (AttemptStatus.FAILED, Reason.TIMED_OUT),
    70: (AttemptStatus.ACCEPTED, None),
    71: (AttemptStatus.HANDED_OVER, None),
    72: (AttemptStatus.DELIVERED, None),
    73: (AttemptStatus.UNKNOWN, None),
    77: (AttemptStatus.DELIVERED, None),
    79: (AttemptStatus.DELIVERED, None),
    80: (AttemptStatus.DELIVERED, None),
    81: (AttemptStatus.DELIVERED, None),
    82: (AttemptStatus.DELIVERED, None),
    83: (AttemptStatus.DELIVERED, None),
    84: (AttemptStatus.DELIVERED, None),
    85: (AttemptStatus.DELIVERED, None),
    86: (AttemptStatus.FAILED, Reason.UNSPECIFIED),
}
SENT = {Outcome.HANDED_OVER: E.HANDED_OVER, Outcome.UNKNOWN: E.LOST_TRACK}


def test_the_sandboxs_receipts_lead_every_magic_number_to_its_end(
    sandbox: Sandbox, catcher: Catcher, wires: Mapping[str, Wire]
) -> None:
    wire = wires["twilio_sms"].model_copy(update={"timeout_seconds": 0.5, "connect_timeout_seconds": 0.4})
    messages = [Message(uuid4(), uuid4(), f"+120255501{ending:02d}", "Text") for ending in LIVES]

    async def main() -> dict[UUID, AttemptStatus]:
        carrier = TwilioSms(
            base_url=sandbox.url,
            account_sid=sandbox.account_sid,
            auth_token=sandbox.auth_token,
            sender=sandbox.senders[0],
            public_base_url=catcher.url(),
            wire=wire,
        )
        results = await carrier.send(messages)
        await carrier.close()
        return {r.attempt_id: advance(AttemptStatus.SENDING, SENT[r.outcome]) for r in results}

    statuses = asyncio.run(main())
    sandbox.settle()
    reasons: dict[UUID, Reason | None] = {}
    receipts = TwilioReceipts(auth_tokens=[sandbox.auth_token], codes=wire.codes)
    seen: set[str] = set()
    for caught in catcher.caught:
        receipts.authenticate(caught)
        for receipt in receipts.parse(caught):
            if receipt.attempt_id in statuses and receipt.event and receipt.dedupe not in seen:
                seen.add(receipt.dedupe)
                statuses[receipt.attempt_id] = advance(statuses[receipt.attempt_id], receipt.event)
                reasons[receipt.attempt_id] = receipt.reason or reasons.get(receipt.attempt_id)
    found = {
        ending: (
            statuses[m.attempt_id],
            reasons.get(m.attempt_id) if statuses[m.attempt_id] is AttemptStatus.FAILED else None,
        )
        for ending, m in zip(LIVES, messages, strict=True)
    }
    assert found == LIVES


def fields(read: Callable[[bytes], list[tuple[str, str]]], body: bytes) -> list[tuple[str, str]] | None:
    try:
        return read(body)
    except ValueError:
        return None


def test_a_form_is_read_as_the_standard_library_reads_it() -> None:
    def standard(body: bytes) -> list[tuple[str, str]]:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)

    chance = random.Random(1)
    bodies = ["".join(chance.choices("ab=&%+2F;C3A9\0\xe9", k=chance.randrange(30))).encode() for _ in range(20_000)]
    bodies += [b"&".join([b"a=1"] * count) for count in (MAX_FIELDS - 1, MAX_FIELDS, MAX_FIELDS + 1)]
    read = [fields(_fields, body) for body in bodies]
    assert read == [fields(standard, body) for body in bodies]
    assert None in read
