"""Taking in what carriers post. Whatever it is, it is kept: read, or as it is.

(1) read the body within its limit; (2) prove that the carrier sent it; (3) read its receipts, or keep it unread;
(4) store, together with whatever else has come, and wake the worker; nobody is answered before the commit.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from notifier.bodies import read_body
from notifier.callbacks.together import Together
from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt, ReceiptReader
from notifier.core.errors import Forbidden
from notifier.service import Service
from notifier.telemetry import Metrics, get_logger
from notifier.usecases.quarantine import quarantine
from notifier.usecases.receipts import Arrival, Stored, store_all

LIMIT: Final = 1 << 20  # SendGrid's batches end at 768 kB
QUEUE: Final = "receipts"
_ORIGIN: Final = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")

log = get_logger(__name__)


class Intake:
    """Takes callbacks in for the threads of one process."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        """One per application."""
        self._service = service
        self._metrics = metrics
        self._together: Together[Arrival, Stored] = Together(self._store, afterwards=self._ring)
        self._rings = threading.Lock()

    def knows(self, carrier: str) -> bool:
        """Whether this carrier is in use, and posts receipts here."""
        return carrier in self._service.readers

    def take(self, carrier: str, environ: MutableMapping[str, Any]) -> None:
        """Keep what a carrier in use says; when this returns, it is committed.

        Raises:
            Forbidden: `callback-refused`.
            TooLarge, Malformed: see `bodies.body_pieces`.
            DBAPIError: the database is away, and the carrier has to come again.
        """
        here = self._service
        reader = here.readers[carrier]
        callback = as_received(environ, base_url=here.settings.public_base_url or "", now=here.now())  # (1)
        prove(reader, callback, metrics=self._metrics)  # (2)
        receipts = _parse(reader, callback)  # (3)
        if receipts is None:
            quarantine(here.db, callback, carrier=reader.slug, reason="unreadable", vault=here.vault)
            self._metrics.receipts.labels(reader.slug, "quarantined").inc()
        else:
            self._together.do(Arrival(reader.slug, callback, receipts))  # (4)

    def _store(self, arrivals: Sequence[Arrival]) -> list[Stored | Exception]:
        began = time.perf_counter()
        results = store_all(self._service.db, arrivals, vault=self._service.vault)
        counts: Counter[tuple[str, str]] = Counter()
        for arrival, result in zip(arrivals, results, strict=True):
            if isinstance(result, Stored):
                counts[arrival.carrier, "stored"] += result.stored
                counts[arrival.carrier, "duplicates"] += result.duplicates
                counts[arrival.carrier, "quarantined"] += result.quarantined
        for labels, count in counts.items():
            self._metrics.receipts.labels(*labels).inc(count)
        log.info(
            "callbacks stored",
            callbacks=len(arrivals),
            failed=sum(isinstance(result, Exception) for result in results),
            receipts=counts.total(),
            ms=round((time.perf_counter() - began) * 1000, 1),
        )
        return results

    def _ring(self) -> None:
        """Wake the workers. One thread at a time: a Redis that hangs holds up no more than that one."""
        if self._rings.acquire(blocking=False):
            try:
                self._service.ring(QUEUE)
            finally:
                self._rings.release()


def prove(reader: ReceiptReader, callback: Callback, *, metrics: Metrics) -> None:
    """Have a carrier's reader prove that the carrier sent it.

    Raises:
        Forbidden: `callback-refused`; why is logged and not told.
    """
    try:
        reader.authenticate(callback)
    except CallbackRefused as error:
        log.warning("callback refused", carrier=reader.slug, reason=error.code)
        metrics.receipts.labels(reader.slug, "refused").inc()
        raise Forbidden("callback-refused", "It is not proved that the carrier sent this.") from None


def as_received(environ: MutableMapping[str, Any], *, base_url: str, now: datetime) -> Callback:
    """The request as the carrier signed it: the public address, with path and query exactly as they came.

    Raises:
        TooLarge, Malformed: see `bodies.body_pieces`.
    """
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if isinstance(value, str) and (name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"})
    }
    return Callback(base_url + _raw_target(environ), headers, read_body(environ, limit=LIMIT), now)


def _raw_target(environ: Mapping[str, Any]) -> str:
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not raw:
        query = environ.get("QUERY_STRING", "")
        raw = quote(environ["PATH_INFO"].encode("latin-1")) + (f"?{query}" if query else "")
    return _ORIGIN.sub("", str(raw)).partition("#")[0]


def _parse(reader: ReceiptReader, callback: Callback) -> list[CarrierReceipt] | None:
    try:
        return reader.parse(callback)
    except Exception:
        # Signed by the carrier, so it is kept whole and shown to a human, never answered with a 500.
        log.exception("callback unreadable", carrier=reader.slug)
        return None
