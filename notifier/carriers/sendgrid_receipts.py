"""SendGrid's event webhook: prove it, read it.

1. The body is JSON.
2. The signature is ECDSA P-256 with SHA-256 over the timestamp header's bytes and the raw body, by a key that only the
   vendor holds. Bodies end in CRLF: they are never re-serialised.
3. The timestamp is at most 25 hours old. The vendor repeats an event for 24 hours and does not say whether it signs it
   again, so a narrow window would lose receipts; a replay inside it changes nothing, because events are told apart.
4. Each element of the array is read on its own: a broken one harms no other.

Source: twilio.com/docs/sendgrid, "Event Webhook Security Features", and the SDK's EventWebhook in the tests.
"""

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt
from notifier.carriers.receipt_parts import WORD, our_ids, unreadable
from notifier.core.errors import SettingsError
from notifier.core.status import AttemptEvent, Reason

OLDEST, EARLIEST = timedelta(hours=25), timedelta(minutes=5)
EVENT_ID = re.compile(r"[A-Za-z0-9_.=+/-]{1,100}\Z")
CODE = re.compile(r"[0-9.]{1,11}\Z")

# None: a word of theirs that says nothing about arrival. Opens and clicks are never proof.
EVENTS: Mapping[str, AttemptEvent | None] = MappingProxyType(
    {
        "processed": AttemptEvent.ACCEPTED,
        "delivered": AttemptEvent.ARRIVED,
        "bounce": AttemptEvent.BOUNCED,
        "dropped": AttemptEvent.REFUSED,
        "deferred": None,
        "open": None,
        "click": None,
        "spamreport": None,
        "unsubscribe": None,
        "group_unsubscribe": None,
        "group_resubscribe": None,
        "account_status_change": None,
    }
)


class SendGridReceipts:
    """The reader. `public_keys` are base64 DER, as the vendor's console shows them; several webhooks have several.

    Raises:
        SettingsError: a key is not a P-256 public key.
    """

    slug = "sendgrid_email"

    def __init__(self, *, public_keys: Sequence[str], codes: Mapping[str, Reason]) -> None:
        self._keys = [_public_key(text) for text in public_keys if text]
        self._codes = codes

    def authenticate(self, callback: Callback) -> None:
        """Prove that SendGrid sent it.

        Raises:
            CallbackRefused: `content_type`, `signature` or `timestamp`.
        """
        # (1) JSON
        if callback.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise CallbackRefused("content_type")
        # (2) signed by one of the keys
        try:
            signature = b64decode(callback.headers["x-twilio-email-event-webhook-signature"], validate=True)
            stamp = callback.headers["x-twilio-email-event-webhook-timestamp"].encode("ascii")
            signed_at = datetime.fromtimestamp(int(stamp), UTC)
        except (KeyError, ValueError, OverflowError, OSError):
            raise CallbackRefused("signature") from None
        if not any(_is_signed(key, signature, stamp + callback.body) for key in self._keys):
            raise CallbackRefused("signature")
        # (3) not older than the vendor repeats, not from the future
        if not -EARLIEST <= callback.received_at - signed_at <= OLDEST:
            raise CallbackRefused("timestamp")

    def parse(self, callback: Callback) -> list[CarrierReceipt]:
        """One receipt per element; unreadable ones are kept under their digest."""
        digest = hashlib.sha256(callback.body).hexdigest()
        try:
            elements = _elements(callback.body)
        except (ValueError, RecursionError):
            return [unreadable(f"sha256:{digest}", callback.body)]
        # (4) each on its own
        return [self._read(element, raw, f"sha256:{digest}:{place}") for place, (element, raw) in enumerate(elements)]

    def _read(self, element: object, raw: bytes, otherwise: str) -> CarrierReceipt:
        if not isinstance(element, dict):
            return unreadable(otherwise, raw)
        ids = our_ids(element.get("agency"), element.get("attempt"))
        event_id, word = _text(element, "sg_event_id", EVENT_ID), _text(element, "event", WORD)
        if event_id is None or word is None:
            return unreadable(otherwise, raw, ids)
        event = EVENTS.get(word)
        message_id = _text(element, "sg_message_id", EVENT_ID)
        return CarrierReceipt(
            event_id,
            word,
            event,
            *ids,
            raw,
            carrier_ref=reference(message_id or ""),
            occurred_at=_moment(element.get("timestamp")),
            reason=self._reason(event, element),
            carrier_code=_text(element, "status", CODE),
            is_known=word in EVENTS,
        )

    def _reason(self, event: AttemptEvent | None, element: Mapping[str, object]) -> Reason | None:
        if event is AttemptEvent.BOUNCED:
            return Reason.BLOCKED if element.get("type") == "blocked" else Reason.MAILBOX_REFUSED
        if event is AttemptEvent.REFUSED:
            given = element.get("reason")
            return self._codes.get(given.strip().lower() if isinstance(given, str) else "", Reason.UNSPECIFIED)
        return None


def reference(message_id: str) -> str | None:
    """What the answer to our request and its events have in common: an event's id goes on after a full stop."""
    return message_id.partition(".")[0] or None


def _public_key(text: str) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(b64decode(text, validate=True))
    except ValueError:
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise SettingsError(["SENDGRID_WEBHOOK_PUBLIC_KEY is not a P-256 public key in base64 DER"])
    return key


def _is_signed(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _elements(body: bytes) -> list[tuple[object, bytes]]:
    """The elements of a JSON array, each with its bytes as they came; ValueError for anything else."""
    text = body.decode("utf-8", "surrogatepass")
    if not isinstance(json.loads(text), list):
        raise ValueError("no array")  # noqa: TRY004 # to the caller it is the same as no JSON
    decoder = json.JSONDecoder()
    found: list[tuple[object, bytes]] = []
    at = _next(text, text.index("[") + 1)
    while text[at] != "]":
        element, end = decoder.raw_decode(text, at)
        found.append((element, text[at:end].encode("utf-8", "surrogatepass")))
        at = _next(text, end)
    return found


def _next(text: str, at: int) -> int:
    """Where the next element of an array begins, or where the array ends."""
    while text[at] in " \t\r\n,":
        at += 1
    return at


def _text(element: Mapping[str, object], name: str, shape: re.Pattern[str]) -> str | None:
    value = element.get(name)
    return value if isinstance(value, str) and shape.match(value) else None


def _moment(value: object) -> datetime | None:
    """Seconds since 1970, a fraction and all."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
