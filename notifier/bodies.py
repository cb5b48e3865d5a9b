"""Reading the body of a request: exactly what was announced, by read(n), never more than a stated limit."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from notifier.core.errors import Malformed, TooLarge

PIECE: Final = 1 << 16
STALL_SECONDS: Final = 30.0


def body_pieces(environ: Mapping[str, Any], *, limit: int) -> Iterator[bytes]:
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
            break
        received += len(piece)
        if received > limit:  # (3)
            raise _too_large(limit)
        yield piece
    if announced is not None and received < announced:  # (4)
        raise _incomplete()


def read_body(environ: Mapping[str, Any], *, limit: int) -> bytes:
    """The whole body of a WSGI request; raises as `body_pieces`."""
    return b"".join(body_pieces(environ, limit=limit))


def _announced(environ: Mapping[str, Any]) -> int | None:
    given = environ.get("CONTENT_LENGTH") or ""
    if not given:
        return None
    if not (given.isascii() and given.isdigit()):
        raise _incomplete()
    return int(given)


def _read(environ: Mapping[str, Any], size: int) -> bytes:
    try:
        piece: bytes = environ["wsgi.input"].read(size)
    except TimeoutError:
        raise Malformed("body-timeout", f"Nothing came for {STALL_SECONDS:.0f} seconds. Nothing was stored.") from None
    except Exception:  # noqa: BLE001 # each server has errors of its own for a body that breaks off
        raise _incomplete() from None
    return piece


def _incomplete() -> Malformed:
    return Malformed("body-incomplete", "The body ended before its end. Nothing was stored.")


def _too_large(limit: int) -> TooLarge:
    return TooLarge("body-too-large", f"The body is over the limit of {limit} bytes. Nothing was stored.")
