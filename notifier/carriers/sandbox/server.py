"""The sandbox's process: one port for all vendors, plus what only a sandbox has.

GET  /record[?after=n]   its own record, one JSON line each
GET  /record/summary     counts, what is still waiting or held, CPU used
POST /inbound            {"from", "body", "opt_out_type"?}: somebody writes to our number
POST /control            {"delay_ms", "answer_delay_ms", "hang_ms", "receipts", "webhook_url", "inbound_url",
                          "lob_webhook_url", "cancel_window_ms", "letters_per_5_seconds", "outage"}: any of them
GET  /keys               the public key that email events are signed for
GET  /healthz            ready
"""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp.web import BaseRequest, HTTPRequestEntityTooLarge, Response, Server, ServerRunner, TCPSite

from notifier.carriers.sandbox.answers import json_answer
from notifier.carriers.sandbox.certificate import Tls, self_signed
from notifier.carriers.sandbox.lob import LobSide
from notifier.carriers.sandbox.options import Options, Receipts, Switches
from notifier.carriers.sandbox.outbox import Outbox
from notifier.carriers.sandbox.record import Record
from notifier.carriers.sandbox.sendgrid import SendGridSide
from notifier.carriers.sandbox.texting import Texting
from notifier.carriers.sandbox.twilio import TwilioSide

LARGEST_BODY = 30_000_000


class Sandbox:
    """All vendors behind one handler. Build it inside the running loop."""

    def __init__(self, options: Options) -> None:
        self.record = Record()
        self.switches = Switches.of(options)
        self.outbox = Outbox(options=options, switches=self.switches, record=self.record)
        parts: dict[str, Any] = {"options": options, "switches": self.switches, "outbox": self.outbox}
        self._texting = Texting(**parts, record=self.record)
        self._twilio = TwilioSide(**parts, record=self.record, texting=self._texting)
        self._sendgrid = SendGridSide(**parts, record=self.record)
        self._lob = LobSide(**parts, record=self.record)
        self._posts: dict[str, Callable[[BaseRequest], Awaitable[Response]]] = {
            "/control": self._control,
            "/inbound": self._texting.answer,
        }
        self._pages: dict[str, Callable[[BaseRequest], Response]] = {
            "/record": self._lines,
            "/record/summary": self._summary,
            "/keys": lambda _: json_answer(200, {"sendgrid_webhook_public_key": self.outbox.public_key}),
            "/healthz": lambda _: json_answer(200, {"status": "ready"}),
        }

    async def answer(self, request: BaseRequest) -> Response:
        """Any request."""
        path = request.path
        if path.startswith("/2010-04-01/"):
            return await self._twilio.answer(request)
        if path.startswith("/v3/"):
            return await self._sendgrid.answer(request)
        if path.startswith("/v1/"):
            return await self._lob.answer(request)
        if request.method == "POST" and path in self._posts:
            return await self._posts[path](request)
        if request.method == "GET" and path in self._pages:
            return self._pages[path](request)
        return json_answer(404, {"status": "no such thing"})

    def _lines(self, request: BaseRequest) -> Response:
        after = request.rel_url.query.get("after", "0")
        lines = self.record.read(int(after) if after.isdecimal() else 0)
        return Response(body=lines, content_type="application/x-ndjson")

    def _summary(self, _: BaseRequest) -> Response:
        return json_answer(200, {**self.record.summary(), "waiting": self.outbox.waiting, "held": self.outbox.held})

    async def _control(self, request: BaseRequest) -> Response:
        try:
            changes = json.loads(await request.read())
        except (ValueError, RecursionError, HTTPRequestEntityTooLarge):
            changes = None
        if not self.switches.turn(changes):
            return json_answer(400, {"status": "no such switch, or no such position"})
        if self.switches.receipts is not Receipts.HELD:
            self.outbox.release()
        return json_answer(200, {"status": "done"})


async def serve(
    host: str,
    port: int,
    options: Options,
    *,
    ready: Callable[[dict[str, str]], None],
    tls: Tls | None = None,
) -> None:
    """Serve until cancelled. Port 0 takes a free one; `ready` is told `url`, `tls_url` and `webhook_public_key`.

    Whoever comes by TLS meets the same sandbox; `tls_url` is "" without `tls`.
    """
    sandbox = Sandbox(options)
    server = Server(
        sandbox.answer,
        request_factory=partial(BaseRequest, loop=asyncio.get_running_loop(), client_max_size=LARGEST_BODY),
        handler_cancellation=True,
    )
    runner = ServerRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await TCPSite(runner, host, port, backlog=1024).start()
        facts = {"url": f"http://{host}:{runner.addresses[0][1]}", "tls_url": ""}
        if tls is not None:
            context = self_signed(host, tls.ca_file)
            await TCPSite(runner, host, tls.port, ssl_context=context, backlog=1024).start()
            facts["tls_url"] = f"https://{host}:{runner.addresses[-1][1]}"
        ready({**facts, "webhook_public_key": sandbox.outbox.public_key})
        await asyncio.Event().wait()
    finally:
        await sandbox.outbox.close()
        await runner.cleanup()


def main(host: str, port: int, options: Options, *, tls: Tls | None = None) -> None:
    """Serve until SIGINT or SIGTERM; the first line of standard output is the JSON that `ready` is told.

    Raises:
        OSError: a port is taken, or the certificate cannot be written.
    """
    asyncio.run(_until_signalled(host, port, options, tls))


async def _until_signalled(host: str, port: int, options: Options, tls: Tls | None) -> None:
    serving = asyncio.create_task(serve(host, port, options, ready=_tell, tls=tls))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    await asyncio.gather(serving, return_exceptions=True)
    if not serving.cancelled():
        serving.result()


def _tell(facts: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
