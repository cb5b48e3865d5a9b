"""Posts receipts, signed and repeated as the vendors do."""

import asyncio
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifier.carriers.sandbox.connection import UNANSWERED, UNREACHED, connection_of
from notifier.carriers.sandbox.options import Options, Receipts, Switches
from notifier.carriers.sandbox.record import Record

EVENTS_PER_POST = 500
SENDGRID_TRIES = 5  # the vendor: for 24 hours
IN_FLIGHT = 64
WAITS = ClientTimeout(total=15, sock_connect=5)

Job = Callable[[], Coroutine[Any, Any, None]]


def make_key() -> tuple[str, str]:
    """A new key pair for email events: (private, public), both base64 DER; the public one as SendGrid shows it."""
    key = generate_private_key(SECP256R1())
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return b64encode(private).decode("ascii"), public_key(key)


def public_key(key: EllipticCurvePrivateKey) -> str:
    """The public half, as SendGrid shows it."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode("ascii")


class Outbox:
    """Everything on its way to a callback address. Build it inside the running loop."""

    def __init__(self, *, options: Options, switches: Switches, record: Record) -> None:
        key = load_der_private_key(b64decode(options.webhook_key or make_key()[0]), None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise TypeError("webhook_key is not an elliptic curve key")
        self._key, self.public_key = key, public_key(key)
        self._validator = RequestValidator(options.auth_token)
        self._switches, self._record = switches, record
        self._session = ClientSession(
            # Shorter than any server keeps one open: a post into a connection that is just being closed has no answer.
            connector=TCPConnector(limit=0, keepalive_timeout=1),
            cookie_jar=DummyCookieJar(),
        )
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Job] = []
        self._events: list[object] = []
        self.planned = 0  # steps whose time has not come

    @property
    def waiting(self) -> int:
        """What is still to happen: steps, held receipts, posts under way."""
        return self.planned + self.held + len(self._tasks) + len(self._events)

    @property
    def held(self) -> int:
        """Posts that are held back (an array of events is one)."""
        return len(self._held)

    def plan(self, delays: int, act: Callable[..., object], *args: object) -> None:
        """Do something after so many delays."""

        def due() -> None:
            self.planned -= 1
            act(*args)

        self.planned += 1
        asyncio.get_running_loop().call_later(delays * self._switches.delay_ms / 1000, due)

    def wants(self, *, is_last: bool) -> bool:
        """True when this receipt is to be posted, now or later."""
        receipts = self._switches.receipts
        return receipts is not Receipts.OFF and (is_last or receipts is not Receipts.FINAL)

    def begin(self, job: Job) -> None:
        """Start a post, or hold it."""
        if self._switches.receipts is Receipts.HELD:
            self._held.append(job)
            return
        task = asyncio.get_running_loop().create_task(job())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def release(self) -> None:
        """Start what was held."""
        held, self._held = self._held, []
        for job in held:
            self.begin(job)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await self._session.close()

    async def post_form(self, url: str, form: Mapping[str, str], *, attempt: str = "") -> None:
        """Twilio's callback, tried as often as its address asks for. The token is the same for all tries."""
        target, connection = connection_of(url)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": self._validator.compute_signature(target, dict(form)),
            "I-Twilio-Idempotency-Token": str(uuid4()),
        }
        body = urlencode(form).encode("ascii")
        facts = {"ref": form["MessageSid"], "attempt": attempt, "word": form.get("MessageStatus", form["SmsStatus"])}
        loop = asyncio.get_running_loop()
        end, tries = loop.time() + connection.total_seconds, 0
        while True:
            left = end - loop.time()
            if left <= 0:
                return
            waits = ClientTimeout(left, sock_connect=connection.connect_seconds, sock_read=connection.read_seconds)
            status, tries = await self.post(target, headers, body, waits), tries + 1
            self._record.add("receipt", "twilio", **facts, http=status, tries=tries)
            if not connection.wants_another(status, tries):
                return

    def add_events(self, events: Sequence[object]) -> None:
        """SendGrid's events, gathered for a moment into one array."""
        if events and not self._events:
            asyncio.get_running_loop().call_later(0.02, self._flush)
        self._events.extend(events)

    def _flush(self) -> None:
        events, self._events = self._events, []
        for start in range(0, len(events), EVENTS_PER_POST):
            self.begin(partial(self.post_events, events[start : start + EVENTS_PER_POST]))

    async def post_events(self, events: Sequence[object]) -> None:
        """SendGrid's webhook: repeated until it is taken, a bounded number of times."""
        body = json.dumps(events, separators=(",", ":")).encode("ascii") + b"\r\n"
        for again in range(1, SENDGRID_TRIES + 1):
            stamp = str(int(time.time()))
            signature = self._key.sign(stamp.encode("ascii") + body, ECDSA(SHA256()))
            headers = {
                "Content-Type": "application/json",
                "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode("ascii"),
                "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            }
            status = await self.post(self._switches.webhook_url, headers, body)
            for event in events:
                facts = event if isinstance(event, dict) else {}
                self._record.add(
                    "receipt",
                    "sendgrid",
                    ref=facts.get("sg_message_id"),
                    attempt=facts.get("attempt"),
                    word=facts.get("event", "(broken)"),
                    event_id=facts.get("sg_event_id"),
                    http=status,
                    tries=again,
                )
            if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own numbers
                return
            await asyncio.sleep(self._switches.delay_ms / 1000 * 2**again)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, waits: ClientTimeout = WAITS) -> int:
        """One post; returns the HTTP status, or UNREACHED, or UNANSWERED."""
        async with self._places:
            try:
                async with self._session.post(
                    url, data=body, headers=headers, allow_redirects=False, timeout=waits
                ) as answer:
                    return answer.status
            except (ClientConnectorError, ConnectionTimeoutError):
                return UNREACHED
            except (ClientError, TimeoutError, OSError):
                return UNANSWERED
