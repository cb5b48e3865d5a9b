"""Reading the body of a request: exactly what was announced, by read(n), never more than a stated limit."""

import time
from collections.abc import Iterator, MutableMapping
from typing import Any, Final

from notifier.core.errors import Malformed, TooLarge

PIECE: Final = 1 << 16
STALL_SECONDS: Final = 30.0
# How much of an unwanted body is read all the same, so that its sender gets to see why it was refused.
DISCARD_BYTES: Final = 16 << 20
DISCARD_SECONDS: Final = 5.0
_ENDED: Final = "notifier.body_ended"


def body_pieces(environ: MutableMapping[str, Any], *, limit: int) -> Iterator[bytes]:
    """The body of a WSGI request in pieces of at most 64 KiB, whether its length was announced or it comes in chunks.

    (1) refuse what the header says is too long; (2) give up on a sender that stalls; (3) stop at the limit;
    (4) refuse a body that ends early: what came of it counts for nothing.

    Raises:
        TooLarge: `body-too-large`.
        Malformed: `body-incomplete`, `body-timeout`.
    """
    announced = _announced(environ)
    if announced is not None and announced > limit:  # (1)
        raise _too_large(limit)
    connection = environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(STALL_SECONDS)  # (2)
    received = 0
    while announced is None or received < announced:
        piece = _read(environ, PIECE if announced is None else min(PIECE, announced - received))
        if not piece:
            environ[_ENDED] = True
            break
        received += len(piece)
        if received > limit:  # (3)
            raise _too_large(limit)
        yield piece
    if announced is not None and received < announced:  # (4)
        raise _incomplete()


def discard_body(environ: MutableMapping[str, Any]) -> None:
    """Read what is left of an unwanted body, within bounds; a sender that is cut off never reads the answer."""
    connection = environ.get("gunicorn.socket")
    until = time.monotonic() + DISCARD_SECONDS
    discarded = 0
    while not environ.get(_ENDED) and discarded < DISCARD_BYTES and time.monotonic() < until:
        if connection is not None:
            connection.settimeout(DISCARD_SECONDS)
        try:
            piece = _read(environ, PIECE)
        except Malformed:
            return
        environ[_ENDED] = not piece
        discarded += len(piece)


def read_body(environ: MutableMapping[str, Any], *, limit: int) -> bytes:
    """The whole body of a WSGI request; raises as `body_pieces`."""
    return b"".join(body_pieces(environ, limit=limit))


def _announced(environ: MutableMapping[str, Any]) -> int | None:
    given = environ.get("CONTENT_LENGTH") or ""
    if not given:
        return None
    if not (given.isascii() and given.isdigit()):
        raise _incomplete()
    return int(given)


def _read(environ: MutableMapping[str, Any], size: int) -> bytes:
    try:
        piece: bytes = environ["wsgi.input"].read(size)
    except TimeoutError:
        environ[_ENDED] = True
        raise Malformed("body-timeout", f"Nothing came for {STALL_SECONDS:.0f} seconds. Nothing was stored.") from None
    except Exception:  # noqa: BLE001 # each server has errors of its own for a body that breaks off
        environ[_ENDED] = True
        raise _incomplete() from None
    return piece


def _incomplete() -> Malformed:
    return Malformed("body-incomplete", "The body ended before its end. Nothing was stored.")


def _too_large(limit: int) -> TooLarge:
    return TooLarge("body-too-large", f"The body is over the limit of {limit} bytes. Nothing was stored.")
