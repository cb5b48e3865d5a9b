"""Twilio's status callbacks: prove them, read them.

1. The body is a form; anything else is refused.
2. The signature is base64(HMAC-SHA1(auth token, URL + each sorted name and value)), over the public URL as configured,
   with or without the port, because Twilio signs either way. It carries no time: a replay is always valid, so what
   follows is idempotent and monotone.
3. Our own ids stand in the URL's query, which the signature covers.

What we ask of Twilio's connection stands in the address behind `#`: it is neither sent nor signed, and a signer that
signs the whole address as it was given is believed all the same.

Source: twilio.com/docs/usage/security, /docs/usage/webhooks/webhooks-connection-overrides, and the SDK's
RequestValidator, which the tests hold this against.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt
from notifier.carriers.receipt_parts import WORD, OurIds, our_ids, unreadable
from notifier.core.status import AttemptEvent, Reason

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 200
# Three more tries whatever went wrong; unasked, Twilio repeats nothing that was answered, be it by a 503.
OVERRIDE: Final = "rc=3&rp=all"
MESSAGE_ID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}\Z")
CODE = re.compile(r"[0-9]{1,10}\Z")

# None: a word of theirs that says nothing about arrival.
EVENTS: Mapping[str, AttemptEvent | None] = MappingProxyType(
    {
        "accepted": AttemptEvent.HANDED_OVER,
        "scheduled": AttemptEvent.HANDED_OVER,
        "queued": AttemptEvent.HANDED_OVER,
        "sending": AttemptEvent.HANDED_OVER,
        "sent": AttemptEvent.ACCEPTED,
        "delivered": AttemptEvent.ARRIVED,
        "read": AttemptEvent.ARRIVED,
        "undelivered": AttemptEvent.REFUSED,
        "failed": AttemptEvent.REFUSED,
        "canceled": AttemptEvent.REFUSED,
        "partially_delivered": None,
        "receiving": None,
        "received": None,
    }
)


class TwilioReceipts:
    """The reader. `auth_tokens` are the primary and, while they change, the secondary token."""

    slug = "twilio_sms"

    def __init__(self, *, auth_tokens: Sequence[str], codes: Mapping[str, Reason]) -> None:
        self._keys = [token.encode() for token in auth_tokens if token]
        self._codes = codes

    def authenticate(self, callback: Callback) -> None:
        """Prove that Twilio sent it.

        Raises:
            CallbackRefused: `content_type`, `signature_missing`, `body` or `signature`.
        """
        # (1) a form
        if callback.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise CallbackRefused("content_type")
        given = callback.headers.get("x-twilio-signature", "").encode("utf-8", "replace")
        if not given:
            raise CallbackRefused("signature_missing")
        try:
            fields = sorted(set(_fields(callback.body)))
            signed = "".join(name + value for name, value in fields).encode()
            # (2) signed by one of our tokens, over one spelling of the URL
            is_proved = any(
                hmac.compare_digest(_sign(key, url.encode() + signed), given)
                for url in _spellings(callback.url)
                for key in self._keys
            )
        except ValueError:
            raise CallbackRefused("body") from None
        if not is_proved:
            raise CallbackRefused("signature")

    def parse(self, callback: Callback) -> list[CarrierReceipt]:
        """One receipt, always; unreadable ones are kept under their digest."""
        # (3) our own ids
        ids = _our_ids(callback.url)
        try:
            fields = _only_values(_fields(callback.body))
        except ValueError:
            fields = {}
        sid, word = fields.get("MessageSid", ""), fields.get("MessageStatus", "")
        code = fields.get("ErrorCode", "")
        if not MESSAGE_ID.match(sid) or not WORD.match(word):
            digest = hashlib.sha256(callback.url.encode("utf-8", "replace") + b"\n" + callback.body).hexdigest()
            return [unreadable(f"sha256:{digest}", callback.body, ids)]
        event = EVENTS.get(word)
        return [
            CarrierReceipt(
                f"{sid}:{word}",
                word,
                event,
                *ids,
                callback.body,
                carrier_ref=sid,
                reason=self._codes.get(code, Reason.UNSPECIFIED) if event is AttemptEvent.REFUSED else None,
                carrier_code=code if CODE.match(code) else None,
                is_known=word in EVENTS,
            )
        ]


def _sign(key: bytes, text: bytes) -> bytes:
    return b64encode(hmac.digest(key, text, hashlib.sha1))


def _fields(body: bytes) -> list[tuple[str, str]]:
    """The form's fields, as `parse_qsl` gives them with blank values, in half of its time.

    ValueError for what is no form.
    """
    pairs = body.decode("ascii").split("&")
    if len(pairs) > MAX_FIELDS:
        raise ValueError("too many fields")
    parts = (pair.partition("=") for pair in pairs if pair)
    return [(_plain(name), _plain(value)) for name, _, value in parts]


def _plain(word: str) -> str:
    word = word.replace("+", " ")
    return unquote(word, errors="strict") if "%" in word else word


def _only_values(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each name once; a name with two different values is nobody's word and left out."""
    found: dict[str, set[str]] = {}
    for name, value in fields:
        found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _spellings(url: str) -> Iterator[str]:
    """The URL as given, without its port, and with the scheme's usual port; each also as it was told to Twilio.

    An empty query, which no server tells apart from none, may have been signed too. ValueError for what is no URL.
    """
    parts = urlsplit(url)
    yield url
    host = parts.netloc.removesuffix(f":{parts.port}") if parts.port else parts.netloc
    port = parts.port or (443 if parts.scheme == "https" else 80)
    usual = (url, parts._replace(netloc=host).geturl(), parts._replace(netloc=f"{host}:{port}").geturl())
    yield from usual[1:]
    for spelling in usual:
        yield f"{spelling}#{OVERRIDE}"
        if not parts.query:
            yield f"{spelling}?"


def _our_ids(url: str) -> OurIds:
    try:
        ids = _only_values(parse_qsl(urlsplit(url).query, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        return None, None
    return our_ids(ids.get("agency"), ids.get("attempt"))
