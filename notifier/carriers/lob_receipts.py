"""Lob's webhook: prove it, read it.

1. The body is JSON.
2. The signature is hex HMAC-SHA256 by the webhook's secret over the timestamp header, a full stop and the raw body.
3. The timestamp (seconds, milliseconds or a date: the vendor does not say which) is at most three days old. The vendor
   repeats what was not taken and says neither for how long nor whether it signs again, so a narrow window would lose
   receipts; a replay inside it changes nothing, because events have ids.
4. Our own ids stand in the letter's metadata. The event of a deleted letter has none: it is kept in the quarantine.

Source: the vendor's OpenAPI description 1.22, its guide "Using webhooks", and public receivers of these webhooks, which
all sign alike.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt
from notifier.carriers.receipt_parts import our_ids, unreadable
from notifier.core.errors import SettingsError
from notifier.core.status import AttemptEvent, Reason

OLDEST, EARLIEST = timedelta(days=3), timedelta(minutes=5)
MILLISECONDS: Final = 100_000_000_000  # as seconds this is the year 5138
LETTER_ID: Final = re.compile(r"ltr_[a-zA-Z0-9]{1,64}\Z")
EVENT_ID: Final = re.compile(r"evt_[a-zA-Z0-9_]{1,80}\Z")
WORD: Final = re.compile(r"letter\.[a-z._-]{1,60}\Z")

_E = AttemptEvent
# None: a word of theirs that says nothing about arrival.
SCANS: Mapping[str, AttemptEvent | None] = MappingProxyType(
    {
        "mailed": _E.ACCEPTED,
        "in_transit": _E.ACCEPTED,
        "in_local_area": _E.ACCEPTED,
        "processed_for_delivery": _E.ACCEPTED,
        "international_exit": _E.ACCEPTED,
        "delivered": _E.ARRIVED,  # a certified letter was signed for; of any other it is inferred from its last scan
        "returned_to_sender": _E.CAME_BACK,
        "re-routed": None,
        "pickup_available": None,
        "issue": None,
    }
)
EVENTS: Mapping[str, AttemptEvent | None] = MappingProxyType(
    {
        "letter.created": _E.HANDED_OVER,
        "letter.rendered_pdf": _E.HANDED_OVER,
        "letter.rendered_thumbnails": _E.HANDED_OVER,
        "letter.rejected": _E.REFUSED,
        "letter.failed": _E.REFUSED,
        "letter.deleted": None,
        "letter.viewed": None,
        **{f"letter.{way}{scan}": event for way in ("", "certified.") for scan, event in SCANS.items()},
        **{f"letter.return_envelope.{scan}": None for scan in ("created", *SCANS)},
        **{f"letter.informed_delivery.email_{what}": None for what in ("sent", "opened", "clicked_through")},
    }
)


class LobReceipts:
    """The reader. `secrets` are the webhook's and, while it changes, the one before.

    Raises:
        SettingsError: a secret is the vendor's own example.
    """

    slug = "lob_letter"

    def __init__(self, *, secrets: Sequence[str]) -> None:
        if "secret" in secrets:
            raise SettingsError(["LOB_WEBHOOK_SECRET is the word that the vendor's debugger signs with: anybody can"])
        self._keys = [secret.encode() for secret in secrets if secret]

    def authenticate(self, callback: Callback) -> None:
        """Prove that Lob sent it.

        Raises:
            CallbackRefused: `content_type`, `signature` or `timestamp`.
        """
        # (1) JSON
        if callback.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise CallbackRefused("content_type")
        # (2) signed by one of our secrets
        stamp = callback.headers.get("lob-signature-timestamp", "")
        given = callback.headers.get("lob-signature", "").lower().encode("utf-8", "replace")
        signed = stamp.encode("utf-8", "replace") + b"." + callback.body
        proofs = [hmac.compare_digest(hmac.digest(key, signed, "sha256").hex().encode(), given) for key in self._keys]
        if not any(proofs):
            raise CallbackRefused("signature")
        # (3) neither old nor from the future
        signed_at = _signed_at(stamp)
        if signed_at is None or not -EARLIEST <= callback.received_at - signed_at <= OLDEST:
            raise CallbackRefused("timestamp")

    def parse(self, callback: Callback) -> list[CarrierReceipt]:
        """One receipt, always; an unreadable one is kept under its digest."""
        otherwise = f"sha256:{hashlib.sha256(callback.body).hexdigest()}"
        try:
            event = json.loads(callback.body)
            letter = event["body"]
            event_id, word = str(event["id"]), str(event["event_type"]["id"])
            # (4) our own ids
            metadata = letter.get("metadata") or {}
            ids = our_ids(metadata.get("agency"), metadata.get("attempt"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return [unreadable(otherwise, callback.body)]
        if not EVENT_ID.match(event_id) or not WORD.match(word):
            return [unreadable(otherwise, callback.body, ids)]
        ref = event.get("reference_id") or letter.get("id")
        means = EVENTS.get(word)
        return [
            CarrierReceipt(
                event_id,
                word,
                means,
                *ids,
                callback.body,
                carrier_ref=ref if isinstance(ref, str) and LETTER_ID.match(ref) else None,
                occurred_at=_moment(event.get("date_created")),
                reason=_reason(means, letter),
                is_known=word in EVENTS,
            )
        ]


def _signed_at(stamp: str) -> datetime | None:
    if not re.fullmatch(r"[0-9]{1,14}(\.[0-9]{1,6})?", stamp):
        return _moment(stamp)
    seconds = float(stamp) / 1000 if float(stamp) >= MILLISECONDS else float(stamp)
    return datetime.fromtimestamp(seconds, UTC)


def _reason(event: AttemptEvent | None, letter: Mapping[str, Any]) -> Reason | None:
    if event is AttemptEvent.REFUSED:  # it fails by itself only while our file is made ready for print
        return Reason.MISCONFIGURED if letter.get("status") == "failed" else Reason.UNSPECIFIED
    return Reason.RETURNED_BY_POST if event is AttemptEvent.CAME_BACK else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
