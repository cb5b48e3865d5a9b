"""What the sandbox answers when it does not answer as it should."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping

from aiohttp.web import BaseRequest, Response

from notifier.carriers.sandbox.magic import Answer

STATUS = {Answer.UNAUTHORIZED: 401, Answer.THROTTLED: 429, Answer.BROKEN: 500, Answer.UNAVAILABLE: 503}


def json_answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        status=status,
        body=json.dumps(body, separators=(",", ":")).encode("ascii"),
        content_type="application/json",
        headers=headers,
    )


async def no_answer(request: BaseRequest, answer: Answer, *, hang_ms: int) -> Response:
    """Hang, cut the connection, or answer 2xx with something that cannot be read."""
    if answer is Answer.GARBLED:
        return Response(status=201, text="<html><body>Created", content_type="text/html")
    if answer is Answer.HANGING:
        await asyncio.sleep(hang_ms / 1000)
    cut(request)
    return Response(status=500)


def cut(request: BaseRequest) -> None:
    """Reset the connection: the other side sees an error, not an end."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
