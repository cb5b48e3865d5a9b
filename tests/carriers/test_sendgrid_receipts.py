import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook

from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt
from notifier.carriers.sandbox.outbox import make_key, public_key
from notifier.carriers.sendgrid_receipts import EVENTS, SendGridReceipts, reference
from notifier.carriers.timetable import Wire
from notifier.core.errors import SettingsError
from notifier.core.status import AttemptEvent, Reason

PRIVATE, PUBLIC = make_key()
KEY = load_der_private_key(b64decode(PRIVATE), None)
AGENCY, ATTEMPT = UUID(int=7), UUID(int=8)
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"
E = AttemptEvent
quick = settings(deadline=None, max_examples=200)


@pytest.fixture
def reader(wires: Mapping[str, Wire]) -> SendGridReceipts:
    return SendGridReceipts(public_keys=[PUBLIC], codes=wires["sendgrid_email"].codes)


def callback(
    body: object, *, at: datetime = NOW, received_at: datetime = NOW, headers: Mapping[str, str] | None = None
) -> Callback:
    assert isinstance(KEY, EllipticCurvePrivateKey)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() + b"\r\n"
    stamp = str(int(at.timestamp()))
    found = {
        "content-type": "application/json",
        SIGNATURE: b64encode(KEY.sign(stamp.encode() + raw, ECDSA(SHA256()))).decode(),
        TIMESTAMP: stamp,
        **(headers or {}),
    }
    return Callback("https://notices.example.org/callbacks/sendgrid_email", found, raw, received_at)


def event(word: str, **fields: object) -> dict[str, object]:
    return {
        "email": "person@example.com",
        "timestamp": 1_793_620_800,
        "event": word,
        "sg_event_id": f"id-{word}",
        "sg_message_id": "abcDEF_-123.recvd-1",
        "agency": str(AGENCY),
        "attempt": str(ATTEMPT),
        **fields,
    }


def refusal(reader: SendGridReceipts, given: Callback) -> str:
    with pytest.raises(CallbackRefused) as refused:
        reader.authenticate(given)
    return refused.value.code


def test_the_vendors_own_example_is_accepted() -> None:
    # Key, signature and event are those of the test of the vendor's SDK.
    reader = SendGridReceipts(
        public_keys=[
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
        ],
        codes={},
    )
    element = {
        "email": "hello@world.com",
        "event": "dropped",
        "reason": "Bounced Address",
        "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
        "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
        "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
        "timestamp": 1600112492,
    }
    given = callback(
        json.dumps([element], sort_keys=True, separators=(",", ":")).encode() + b"\r\n",
        received_at=datetime.fromtimestamp(1600112502, UTC),
        headers={
            SIGNATURE: (
                "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
            ),
            TIMESTAMP: "1600112502",
        },
    )
    reader.authenticate(given)
    [receipt] = reader.parse(given)
    assert receipt.carrier_ref == "LRzXl_NHStOGhQ4kofSm_A"


def test_a_changed_body_timestamp_or_line_ending_is_refused(reader: SendGridReceipts) -> None:
    given = callback([event("delivered")])
    reader.authenticate(given)
    for body in (given.body.replace(b"delivered", b"processed"), given.body.rstrip(b"\r\n"), given.body + b" "):
        assert refusal(reader, Callback(given.url, given.headers, body, NOW)) == "signature"
    later = {**given.headers, TIMESTAMP: str(int(given.headers[TIMESTAMP]) + 1)}
    assert refusal(reader, Callback(given.url, later, given.body, NOW)) == "signature"


def test_a_day_of_repeats_is_inside_the_window_and_more_is_not(reader: SendGridReceipts) -> None:
    reader.authenticate(callback([], at=NOW - timedelta(hours=24, minutes=30)))
    reader.authenticate(callback([], at=NOW + timedelta(minutes=4)))
    assert refusal(reader, callback([], at=NOW - timedelta(hours=26))) == "timestamp"
    assert refusal(reader, callback([], at=NOW + timedelta(minutes=6))) == "timestamp"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, "content_type"),
        ({SIGNATURE: "%%%"}, "signature"),
        ({SIGNATURE: ""}, "signature"),
        ({SIGNATURE: "AAAA"}, "signature"),
        ({SIGNATURE: "é\ud800"}, "signature"),
        ({TIMESTAMP: ""}, "signature"),
        ({TIMESTAMP: "soon"}, "signature"),
        ({TIMESTAMP: "9" * 400}, "signature"),
        ({TIMESTAMP: "99999999999999999"}, "signature"),
        ({TIMESTAMP: "\ud800"}, "signature"),
    ],
)
def test_what_is_not_proved_is_refused_by_name(reader: SendGridReceipts, headers: dict[str, str], code: str) -> None:
    assert refusal(reader, callback([], headers=headers)) == code


def test_missing_headers_are_refused(reader: SendGridReceipts) -> None:
    for name in (SIGNATURE, TIMESTAMP):
        given = callback([])
        headers = {kept: value for kept, value in given.headers.items() if kept != name}
        assert refusal(reader, Callback(given.url, headers, given.body, NOW)) == "signature"


def test_two_webhooks_have_two_keys_and_no_key_proves_nothing() -> None:
    SendGridReceipts(public_keys=[make_key()[1], PUBLIC], codes={}).authenticate(callback([]))
    for keys in ([], [""], [make_key()[1]]):
        assert refusal(SendGridReceipts(public_keys=keys, codes={}), callback([])) == "signature"


def test_what_is_no_p256_key_is_refused_at_start() -> None:
    for text in ("nonsense", "AAAA", public_key(generate_private_key(SECP384R1()))):
        with pytest.raises(SettingsError, match="SENDGRID_WEBHOOK_PUBLIC_KEY"):
            SendGridReceipts(public_keys=[text], codes={})


@quick
@given(st.text(), st.integers(0, 2**31))
def test_our_check_and_the_sdks_agree(text: str, stamp: int) -> None:
    given = callback(
        text.encode(), at=datetime.fromtimestamp(stamp, UTC), received_at=datetime.fromtimestamp(stamp, UTC)
    )
    SendGridReceipts(public_keys=[PUBLIC], codes={}).authenticate(given)
    assert EventWebhook(PUBLIC).verify_signature(text, given.headers[SIGNATURE], given.headers[TIMESTAMP])


ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
HOSTILE_ELEMENTS = st.fixed_dictionaries(
    {},
    optional={
        name: ANY_JSON | st.sampled_from([*EVENTS, str(AGENCY), "blocked", 10**400, -(10**12), True])
        for name in (
            "event",
            "sg_event_id",
            "sg_message_id",
            "agency",
            "attempt",
            "timestamp",
            "reason",
            "type",
            "status",
        )
    },
)


@quick
@given(
    st.dictionaries(st.sampled_from(["content-type", SIGNATURE, TIMESTAMP]), ANY_TEXT | st.just("application/json")),
    st.binary(),
)
def test_nothing_hostile_is_ever_more_than_a_refusal(headers: dict[str, str], body: bytes) -> None:
    reader = SendGridReceipts(public_keys=[PUBLIC], codes={})
    hostile = Callback("", headers, body, NOW)
    with pytest.raises(CallbackRefused):
        reader.authenticate(hostile)
    assert all(isinstance(receipt, CarrierReceipt) for receipt in reader.parse(hostile))


@quick
@given(st.lists(HOSTILE_ELEMENTS | ANY_JSON, max_size=4), st.integers(0, 4))
def test_a_good_element_is_read_whatever_stands_beside_it(elements: list[Any], place: int) -> None:
    elements = [*elements[:place], event("delivered"), *elements[place:]]
    receipts = SendGridReceipts(public_keys=[PUBLIC], codes={}).parse(callback(elements))
    assert len(receipts) == len(elements)
    good = receipts[min(place, len(elements) - 1)]
    assert (good.event, good.attempt_id, good.dedupe) == (E.ARRIVED, ATTEMPT, "id-delivered")
    for receipt in receipts:
        for text in (receipt.dedupe, receipt.carrier_word, receipt.carrier_ref, receipt.carrier_code):
            assert text is None or (text.isascii() and text.isprintable() and len(text) <= 100)


@quick
@given(st.lists(ANY_JSON, max_size=5), st.sampled_from([None, 2, "\t\r\n"]), st.booleans())
def test_each_receipt_has_its_element_as_it_came(elements: list[Any], indent: int | str | None, is_ascii: bool) -> None:  # noqa: FBT001
    body = json.dumps(elements, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass") + b"\r\n"
    raws = [receipt.raw for receipt in SendGridReceipts(public_keys=[PUBLIC], codes={}).parse(callback(body))]
    assert [json.dumps(json.loads(raw)) for raw in raws] == [json.dumps(element) for element in elements]
    assert all(raw in body for raw in raws)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[", b"\xff", b"[" * 100_000, b"1" * 5000, b'"text"'])
def test_a_body_that_is_no_array_is_one_unreadable_receipt(reader: SendGridReceipts, body: bytes) -> None:
    [receipt] = reader.parse(callback(body))
    assert (receipt.is_known, receipt.event, receipt.agency_id) == (False, None, None)


def test_an_element_nested_beyond_reason_is_unreadable_and_harms_no_other(reader: SendGridReceipts) -> None:
    deep = b"[" + b'{"reason":' * 400 + b"1" + b"}" * 400 + b"," + json.dumps(event("delivered")).encode() + b"]"
    assert [receipt.event for receipt in reader.parse(callback(deep))] == [None, E.ARRIVED]


@pytest.mark.parametrize(
    ("element", "expected", "reason"),
    [
        (event("processed"), E.ACCEPTED, None),
        (event("delivered"), E.ARRIVED, None),
        (event("bounce", type="bounce", status="5.1.1"), E.BOUNCED, Reason.MAILBOX_REFUSED),
        (event("bounce", type="blocked"), E.BOUNCED, Reason.BLOCKED),
        (event("bounce"), E.BOUNCED, Reason.MAILBOX_REFUSED),
        (event("dropped", reason="Bounced Address"), E.REFUSED, Reason.SUPPRESSED),
        (event("dropped", reason="Invalid"), E.REFUSED, Reason.INVALID_ADDRESS),
        (event("dropped", reason="Unsubscribed Address"), E.REFUSED, Reason.OPTED_OUT),
        (event("dropped", reason="Spam Reporting Address"), E.REFUSED, Reason.OPTED_OUT),
        (event("dropped", reason="Spam Content"), E.REFUSED, Reason.FILTERED),
        (event("dropped", reason="Recipient List over Package Quota"), E.REFUSED, Reason.MISCONFIGURED),
        (event("dropped", reason="A new one"), E.REFUSED, Reason.UNSPECIFIED),
        (event("dropped"), E.REFUSED, Reason.UNSPECIFIED),
        (event("deferred"), None, None),
        (event("open"), None, None),
        (event("click"), None, None),
        (event("spamreport"), None, None),
    ],
)
def test_each_event_of_theirs_has_its_event_and_reason(
    reader: SendGridReceipts, element: dict[str, object], expected: AttemptEvent | None, reason: Reason | None
) -> None:
    [receipt] = reader.parse(callback([element]))
    assert (receipt.event, receipt.reason, receipt.is_known) == (expected, reason, True)
    assert (receipt.agency_id, receipt.attempt_id) == (AGENCY, ATTEMPT)
    assert (receipt.carrier_ref, receipt.occurred_at) == ("abcDEF_-123", datetime.fromtimestamp(1_793_620_800, UTC))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1_793_620_800.5, datetime.fromtimestamp(1_793_620_800.5, UTC)),
        (1.7936208e9, datetime.fromtimestamp(1_793_620_800, UTC)),
        (float("nan"), None),
        (float("inf"), None),
        (10**40, None),
        (-(10**15), None),
        (True, None),
        ("1793620800", None),
        (None, None),
    ],
)
def test_a_time_is_read_with_its_fraction_and_left_out_when_it_is_none(
    reader: SendGridReceipts, given: object, expected: datetime | None
) -> None:
    [receipt] = reader.parse(callback([event("delivered", timestamp=given)]))
    assert (receipt.event, receipt.occurred_at) == (E.ARRIVED, expected)


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        ("Q5r-_x", "Q5r-_x.filter0001.16648.5515E0B88.0"),
        ("14c5d75ce93.dfd.64b469", "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"),
        ("", ""),
    ],
)
def test_an_event_has_the_reference_that_the_answer_had(answered: str, told: str) -> None:
    assert reference(answered) == reference(told)


def test_a_late_bounce_without_a_message_id_is_still_ours(reader: SendGridReceipts) -> None:
    element = event("bounce", type="bounce", status="5.1.1")
    del element["sg_message_id"]
    [receipt] = reader.parse(callback([element]))
    assert (receipt.event, receipt.attempt_id, receipt.carrier_ref, receipt.carrier_code) == (
        E.BOUNCED,
        ATTEMPT,
        None,
        "5.1.1",
    )


def test_no_address_or_free_text_of_an_event_is_kept(reader: SendGridReceipts) -> None:
    element = event("bounce", type="bounce", reason="550 person@example.com unknown", status="550 person@example.com")
    assert "person" not in str(reader.parse(callback([element])))


def test_an_account_event_without_ids_names_nobody(reader: SendGridReceipts) -> None:
    [receipt] = reader.parse(callback([{"event": "account_status_change", "sg_event_id": "x", "timestamp": 1}]))
    assert (receipt.agency_id, receipt.attempt_id, receipt.event, receipt.is_known) == (None, None, None, True)
