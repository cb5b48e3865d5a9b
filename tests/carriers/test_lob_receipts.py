"""Lob's webhook: what is believed, what is refused, and what each word means."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import pytest

from notifier.carriers.base import Callback, CallbackRefused, ReceiptReader
from notifier.carriers.lob_receipts import EVENTS, LobReceipts
from notifier.carriers.timetable import Wire
from notifier.core.errors import SettingsError
from notifier.core.model import PostService
from notifier.core.status import AttemptEvent, Reason
from tests.carriers.post import letter, quick, send, street
from tests.sandbox import LOB_SECRET, Catcher, Sandbox

NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
AGENCY, ATTEMPT = uuid4(), uuid4()
SECRET = "one-secret"


def reader(*secrets: str) -> ReceiptReader:
    return LobReceipts(secrets=secrets or ["one-secret"])


def event(word: str = "letter.mailed", **changes: Any) -> dict[str, Any]:
    body = {"id": "ltr_0a1b2c3d4e5f6071", "metadata": {"agency": str(AGENCY), "attempt": str(ATTEMPT)}}
    return {
        "id": "evt_0a1b2c3d4e5f6071",
        "body": body,
        "reference_id": "ltr_0a1b2c3d4e5f6071",
        "event_type": {"id": word, "enabled_for_test": False, "resource": "letters", "object": "event_type"},
        "date_created": "2026-11-22T15:59:30.123Z",
        "object": "event",
        **changes,
    }


def post(
    body: object,
    *,
    secret: str = SECRET,
    stamp: str | None = None,
    at: datetime = NOW,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Callback:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = stamp if stamp is not None else str(int(at.timestamp()))
    signature = hmac.digest(secret.encode(), given.encode() + b"." + raw, "sha256").hex()
    signed = {"content-type": "application/json", "lob-signature": signature, "lob-signature-timestamp": given}
    return Callback("https://notices.example.org/callbacks/lob_letter", {**signed, **headers}, raw, NOW)


def refusal(callback: Callback, *secrets: str) -> str:
    with pytest.raises(CallbackRefused) as refused:
        reader(*secrets).authenticate(callback)
    return refused.value.code


def test_what_lob_signed_is_believed_in_seconds_in_milliseconds_and_as_a_date() -> None:
    reader().authenticate(post(event()))
    for stamp in (f"{NOW.timestamp():.3f}", NOW.isoformat(), f"{NOW:%Y-%m-%dT%H:%M:%S.000Z}"):
        reader().authenticate(post(event(), stamp=stamp))
    reader().authenticate(post(event(), stamp=str(int(NOW.timestamp() * 1000))))
    reader("new", "one-secret").authenticate(post(event(), headers={"content-type": "application/json; charset=utf-8"}))


def test_what_lob_did_not_sign_is_refused() -> None:
    genuine = post(event())
    assert refusal(replace(genuine, body=genuine.body + b" ")) == "signature"
    assert refusal(post(event(), secret="another")) == "signature"
    assert refusal(post(event(), headers={"lob-signature": ""})) == "signature"
    assert refusal(post(event(), headers={"lob-signature": "ÿ" * 64})) == "signature"
    assert refusal(post(event(), headers={"lob-signature-timestamp": str(int(NOW.timestamp()) + 1)})) == "signature"
    assert refusal(replace(genuine, headers={"content-type": "application/json"})) == "signature"
    assert refusal(post(event(), headers={"content-type": "text/plain"})) == "content_type"


def test_without_a_secret_nothing_is_believed() -> None:
    for callback in (post(event(), secret=""), post(event(), secret="one-secret")):
        with pytest.raises(CallbackRefused):
            LobReceipts(secrets=[""]).authenticate(callback)


def test_an_event_may_come_days_late_but_not_for_ever() -> None:
    reader().authenticate(post(event(), at=NOW - timedelta(days=3)))
    assert refusal(post(event(), at=NOW - timedelta(days=3, seconds=1))) == "timestamp"
    reader().authenticate(post(event(), at=NOW + timedelta(minutes=5)))
    assert refusal(post(event(), at=NOW + timedelta(minutes=5, seconds=1))) == "timestamp"
    assert refusal(post(event(), stamp="yesterday")) == "timestamp"
    assert refusal(post(event(), stamp=(NOW - timedelta(days=4)).isoformat())) == "timestamp"
    assert refusal(post(event(), stamp=NOW.replace(tzinfo=None).isoformat())) == "timestamp"
    assert refusal(post(event(), stamp="9" * 15)) == "timestamp"


def test_the_vendors_example_is_no_secret() -> None:
    with pytest.raises(SettingsError, match="LOB_WEBHOOK_SECRET"):
        reader("secret")


def test_a_receipt_names_our_ids_the_letter_and_when() -> None:
    callback = post(event("letter.certified.delivered"))
    [receipt] = reader().parse(callback)
    assert (receipt.agency_id, receipt.attempt_id) == (AGENCY, ATTEMPT)
    assert (receipt.dedupe, receipt.carrier_ref) == ("evt_0a1b2c3d4e5f6071", "ltr_0a1b2c3d4e5f6071")
    assert receipt.occurred_at == datetime(2026, 11, 22, 15, 59, 30, 123_000, tzinfo=UTC)
    assert (receipt.carrier_word, receipt.event) == ("letter.certified.delivered", AttemptEvent.ARRIVED)
    assert receipt.raw == callback.body
    assert receipt.is_known


@pytest.mark.parametrize("way", ["letter.", "letter.certified."])
@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("mailed", AttemptEvent.ACCEPTED),
        ("in_transit", AttemptEvent.ACCEPTED),
        ("in_local_area", AttemptEvent.ACCEPTED),
        ("processed_for_delivery", AttemptEvent.ACCEPTED),
        ("delivered", AttemptEvent.ARRIVED),
        ("returned_to_sender", AttemptEvent.CAME_BACK),
        ("re-routed", None),
        ("pickup_available", None),
        ("issue", None),
    ],
)
def test_what_each_scan_means(way: str, word: str, means: AttemptEvent | None) -> None:
    [receipt] = reader().parse(post(event(way + word)))
    assert (receipt.event, receipt.is_known) == (means, True)
    assert (receipt.reason is Reason.RETURNED_BY_POST) == (means is AttemptEvent.CAME_BACK)


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("letter.created", AttemptEvent.HANDED_OVER),
        ("letter.rendered_pdf", AttemptEvent.HANDED_OVER),
        ("letter.rendered_thumbnails", AttemptEvent.HANDED_OVER),
        ("letter.rejected", AttemptEvent.REFUSED),
        ("letter.failed", AttemptEvent.REFUSED),
        ("letter.international_exit", AttemptEvent.ACCEPTED),
        ("letter.viewed", None),
        ("letter.return_envelope.returned_to_sender", None),
        ("letter.informed_delivery.email_opened", None),
    ],
)
def test_what_other_words_mean(word: str, means: AttemptEvent | None) -> None:
    [receipt] = reader().parse(post(event(word)))
    assert (receipt.event, receipt.is_known) == (means, True)


def test_nothing_that_is_viewed_or_opened_is_ever_proof() -> None:
    looked_at = [word for word in EVENTS if any(look in word for look in ("viewed", "opened", "clicked"))]
    assert len(looked_at) == 3
    assert {EVENTS[word] for word in looked_at} == {None}


def test_a_letter_that_fails_in_rendering_is_our_fault() -> None:
    ours = {"agency": str(AGENCY), "attempt": str(ATTEMPT)}
    [failed] = reader().parse(post(event("letter.failed", body={"status": "failed", "metadata": ours})))
    [rejected] = reader().parse(post(event("letter.rejected")))
    assert (failed.reason, rejected.reason) == (Reason.MISCONFIGURED, Reason.UNSPECIFIED)


def test_a_word_that_nobody_knows_yet_is_kept_and_changes_nothing() -> None:
    [receipt] = reader().parse(post(event("letter.teleported")))
    assert (receipt.carrier_word, receipt.event, receipt.is_known) == ("letter.teleported", None, False)
    assert receipt.attempt_id == ATTEMPT


def test_a_deleted_letters_event_names_none_of_ours() -> None:
    [receipt] = reader().parse(post(event("letter.deleted", body={"id": "ltr_0a1b2c3d4e5f6071", "deleted": True})))
    assert (receipt.agency_id, receipt.attempt_id, receipt.event) == (None, None, None)
    assert (receipt.carrier_ref, receipt.is_known) == ("ltr_0a1b2c3d4e5f6071", True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"\xff\xfe",
        b"[" * 100_000,
        [],
        [event()],
        {},
        event(body=None),
        event(body=[]),
        event(event_type=None),
        event(id="evt_" + "x" * 200),
        event(id=None),
        event("postcard.mailed"),
        event("letter.MAILED"),
        event("letter." + "x" * 80),
    ],
)
def test_what_cannot_be_read_is_kept_under_its_digest(body: object) -> None:
    first, again = reader().parse(post(body)), reader().parse(post(body))
    [receipt] = first
    assert receipt.dedupe.startswith("sha256:")
    assert (receipt.event, receipt.is_known) == (None, False)
    assert first == again


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"agency": str(AGENCY)}, {"agency": 1, "attempt": 2}, {"agency": "x", "attempt": str(ATTEMPT)}],
)
def test_ids_that_are_not_ours_name_nobody(metadata: object) -> None:
    [receipt] = reader().parse(post(event(body={"metadata": metadata})))
    assert (receipt.agency_id, receipt.attempt_id) == (None, None)


@pytest.mark.parametrize("when", [None, 7, "soon", "2026-11-22T15:59:30"])
def test_a_time_that_is_none_is_left_out(when: object) -> None:
    [receipt] = reader().parse(post(event(date_created=when, reference_id="elsewhere")))
    assert receipt.occurred_at is None
    assert receipt.carrier_ref is None


def test_the_sandbox_posts_what_the_reader_believes_for_first_class_and_certified_mail(
    sandbox: Sandbox, catcher: Catcher, wires: Mapping[str, Wire]
) -> None:
    sandbox.control(lob_webhook_url=catcher.url("/callbacks/lob_letter"))
    plain = letter(street("delivered-then-returned"))
    certified = letter(street("unclaimed"), service=PostService.CERTIFIED)
    seen = len(catcher.caught)
    send([plain, certified], quick(wires), f"{sandbox.url}/v1")
    sandbox.settle()
    words: dict[UUID | None, list[str]] = {}
    for callback in catcher.caught[seen:]:
        reader(LOB_SECRET).authenticate(callback)
        [receipt] = reader(LOB_SECRET).parse(callback)
        assert receipt.is_known
        words.setdefault(receipt.attempt_id, []).append(receipt.carrier_word.removeprefix("letter."))
    assert words == {
        plain.attempt_id: [
            *("created", "rendered_pdf", "mailed", "in_transit", "in_local_area", "processed_for_delivery"),
            *("delivered", "returned_to_sender"),
        ],
        certified.attempt_id: [
            *("created", "rendered_pdf", "certified.mailed", "certified.pickup_available", "certified.issue"),
            "certified.returned_to_sender",
        ],
    }
