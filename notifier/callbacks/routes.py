"""POST /callbacks/<carrier>. Whatever a carrier sends is kept: read, or as it is.

(1) read the body within its limit; (2) prove that the carrier sent it; (3) read its receipts, or keep it unread;
(4) store; (5) wake the worker; answer 204, for a known duplicate too, so that nobody sends it again.
"""

import re
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, Response, request

from notifier.bodies import read_body
from notifier.carriers.base import Callback, CallbackRefused, CarrierReceipt, ReceiptReader
from notifier.core.errors import Forbidden, NotFound
from notifier.surface import metrics, service
from notifier.telemetry import get_logger
from notifier.usecases.quarantine import quarantine
from notifier.usecases.receipts import store_receipts

LIMIT: Final = 1 << 20  # SendGrid's batches end at 768 kB
QUEUE: Final = "receipts"
_ORIGIN: Final = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")

blueprint = Blueprint("callbacks", __name__, url_prefix="/callbacks")
log = get_logger(__name__)


@blueprint.post("/<carrier>")
def receive(carrier: str) -> Response:
    """Take what a carrier says."""
    here = service()
    reader = here.readers.get(carrier)
    if reader is None:
        raise NotFound("unknown-callback", "No carrier in use calls back here.")
    callback = as_received(request.environ, base_url=here.settings.public_base_url or "", now=here.now())  # (1)
    _authenticate(reader, callback)  # (2)
    receipts = _parse(reader, callback)  # (3)
    if receipts is None:
        quarantine(here.db, callback, carrier=reader.slug, reason="unreadable", vault=here.vault)
        metrics().receipts.labels(reader.slug, "quarantined").inc()
        return Response(status=204)
    kept = store_receipts(here.db, receipts, callback, carrier=reader.slug, vault=here.vault)  # (4)
    for result in ("stored", "duplicates", "quarantined"):
        metrics().receipts.labels(reader.slug, result).inc(getattr(kept, result))
    here.ring(QUEUE)  # (5)
    return Response(status=204)


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
    return _ORIGIN.sub("", str(raw)).partition("#")[0].removesuffix("?")


def _authenticate(reader: ReceiptReader, callback: Callback) -> None:
    try:
        reader.authenticate(callback)
    except CallbackRefused as error:
        log.warning("callback refused", carrier=reader.slug, reason=error.code)
        metrics().receipts.labels(reader.slug, "refused").inc()
        raise Forbidden("callback-refused", "It is not proved that the carrier sent this.") from None


def _parse(reader: ReceiptReader, callback: Callback) -> list[CarrierReceipt] | None:
    try:
        return reader.parse(callback)
    except Exception:
        # Signed by the carrier, so it is kept whole and shown to a human, never answered with a 500.
        log.exception("callback unreadable", carrier=reader.slug)
        return None
