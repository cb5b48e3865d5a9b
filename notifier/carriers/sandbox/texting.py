"""People who write back to the number that texts them, and Twilio's own list of those who are not texted any more."""

import json
from functools import partial
from secrets import token_hex

from aiohttp.web import BaseRequest, HTTPRequestEntityTooLarge, Response

from notifier.carriers.sandbox.answers import json_answer
from notifier.carriers.sandbox.options import Options, Switches
from notifier.carriers.sandbox.outbox import Outbox
from notifier.carriers.sandbox.record import Record

# The vendor's default words for numbers of its own; case and outer space do not matter.
STOPS = frozenset({"stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"})
STARTS = frozenset({"start", "unstop", "yes"})
LONGEST = 1600


class Texting:
    """Takes what people write: the vendor acts on a word of its own first, then it tells us."""

    def __init__(self, *, options: Options, switches: Switches, outbox: Outbox, record: Record) -> None:
        self._account, self._senders = options.account_sid, options.senders
        self._switches, self._outbox, self._record = switches, outbox, record
        self._stopped: set[str] = set()

    def has_stopped(self, number: str) -> bool:
        """True while the vendor refuses to text this number (21610)."""
        return number in self._stopped

    async def answer(self, request: BaseRequest) -> Response:
        """POST /inbound."""
        try:
            said = json.loads(await request.read())
            number, words, kind = str(said["from"]), str(said["body"]), str(said.get("opt_out_type", ""))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, HTTPRequestEntityTooLarge):
            return json_answer(400, {"status": "no message"})
        if len(words) > LONGEST:
            return json_answer(400, {"status": "longer than a text message"})
        return json_answer(200, {"sid": self.write(number, words, opt_out_type=kind)})

    def write(self, number: str, words: str, *, opt_out_type: str = "") -> str:
        """Somebody writes; returns the id of the message. `opt_out_type` is what Advanced Opt-Out makes of it."""
        said = opt_out_type.lower() or words.strip().lower()
        if said in STOPS:
            self._stopped.add(number)
        elif said in STARTS:
            self._stopped.discard(number)
        sid = "SM" + token_hex(16)
        ours = next((one for one in self._senders if one.startswith("+")), "")
        service = next((one for one in self._senders if one.startswith("MG")), "")
        form = {
            "AccountSid": self._account,
            "ApiVersion": "2010-04-01",
            "Body": words,
            "From": number,
            "MessageSid": sid,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "To": ours,
            **({"MessagingServiceSid": service} if service else {}),
            **({"OptOutType": opt_out_type} if opt_out_type else {}),
        }
        self._record.add("inbound", "twilio", ref=sid)
        if self._switches.inbound_url:
            self._outbox.begin(partial(self._outbox.post_form, self._switches.inbound_url, form))
        return sid
