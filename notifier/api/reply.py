"""Answers: JSON with an ETag, and the one way to do something once."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final, cast

from flask import Response, g, request
from pydantic import BaseModel

from notifier.api.auth import JSON, principal
from notifier.store.engine import Tx
from notifier.store.vault import digest
from notifier.surface import service
from notifier.usecases.idempotency import Reply, once

_NOT_MODIFIED: Final = 304


def shown(answer: BaseModel) -> Response:
    """200 with an ETag; 304 when the caller has just that."""
    body = answer.model_dump_json().encode()
    etag = hashlib.sha256(body).hexdigest()[:32]
    response = Response(body, content_type=JSON)
    response.set_etag(etag)
    if request.if_none_match.contains(etag):
        response.status_code = _NOT_MODIFIED
        response.set_data(b"")
    return response


def done_once(
    status: int, act: Callable[[Tx], BaseModel], *, body_digest: bytes, after: Callable[[], object] | None = None
) -> Response:
    """Do `act` in one transaction unless this very request was done before; answered after the commit only.

    `after` is called when it was done now, after the commit.
    """
    here = service()

    def record(tx: Tx) -> Reply:
        return Reply(status, act(tx).model_dump(mode="json"))

    reply = once(
        here.db,
        principal(),
        key=cast("str", g.idempotency_key),
        request_digest=digest(request.method.encode(), request.path.encode(), request.mimetype.encode(), body_digest),
        now=here.now(),
        act=record,
    )
    response = Response(json.dumps(reply.body), reply.status, content_type=JSON)
    if reply.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    elif after is not None:
        after()
    return response


def body_digest() -> bytes:
    """SHA-256 of the body that was read before the view."""
    return cast("bytes", g.body_digest)


def raw_schema(media_type: str) -> dict[str, Any]:
    """The published answer of a route that gives a file."""
    return {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
