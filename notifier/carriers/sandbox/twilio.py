"""Twilio's side of the sandbox: /2010-04-01/Accounts/{AC}/Messages.json, and the life of each message."""

import asyncio
import hashlib
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from secrets import token_hex
from urllib.parse import parse_qs, parse_qsl, urlsplit

from aiohttp.web import BaseRequest, Response

from notifier.carriers.sandbox.answers import STATUS, json_answer, no_answer
from notifier.carriers.sandbox.magic import OUTAGES, SMS_DELIVERED, Answer, Plan, Step, sms_plan
from notifier.carriers.sandbox.options import Options, Switches
from notifier.carriers.sandbox.outbox import Outbox
from notifier.carriers.sandbox.record import Record
from notifier.carriers.sandbox.texting import Texting
from notifier.carriers.sandbox.twilio_rules import MEANING, fault

FILTERS = frozenset({"To", "From", "DateSent", "DateSent<", "DateSent>", "PageSize", "Page", "PageToken"})
LARGEST_PAGE = 1000
CREDENTIALS = 20003


@dataclass(slots=True)
class SentMessage:
    """One message as Twilio keeps it. Times in seconds since 1970."""

    to: str
    sender: str | None
    service: str | None
    body: str
    callback: str
    plan: Plan
    status: str
    sid: str = field(default_factory=lambda: "SM" + token_hex(16))
    code: str | None = None
    created: float = field(default_factory=time.time)
    sent: float | None = None
    in_order: asyncio.Lock = field(default_factory=asyncio.Lock)  # its receipts never overtake each other by chance

    @property
    def attempt(self) -> str:
        """The attempt named in the callback's query, for the record."""
        return parse_qs(urlsplit(self.callback).query).get("attempt", [""])[0]


class TwilioSide:
    """Takes messages, lists them, and tells about them."""

    def __init__(
        self, *, options: Options, switches: Switches, outbox: Outbox, record: Record, texting: Texting
    ) -> None:
        self._account, self._senders = options.account_sid, options.senders
        self._credentials = "Basic " + b64encode(f"{options.account_sid}:{options.auth_token}".encode()).decode("ascii")
        self._switches, self._outbox, self._record, self._texting = switches, outbox, record, texting
        self._messages: dict[str, SentMessage] = {}
        self._by_recipient: defaultdict[str, list[SentMessage]] = defaultdict(list)
        self._seen: set[tuple[str, str]] = set()

    async def answer(self, request: BaseRequest) -> Response:
        """Any request below /2010-04-01/."""
        self._record.counts["twilio.requests"] += 1
        if request.headers.get("Authorization") != self._credentials:
            return self._refuse(401, 20003)
        root = f"/2010-04-01/Accounts/{self._account}/Messages"
        if request.path == f"{root}.json":
            if request.method == "POST":
                return await self._create(request)
            return self._list(request) if request.method == "GET" else self._refuse(405, 20004)
        sid = request.path.removeprefix(f"{root}/").removesuffix(".json")
        if request.method == "GET" and sid in self._messages:
            return json_answer(200, self._resource(self._messages[sid]))
        return self._refuse(404, 20404)

    async def _create(self, request: BaseRequest) -> Response:
        fields: dict[str, str] = {}
        if request.content_type == "application/x-www-form-urlencoded":
            fields = dict(parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True))
        code = fault(fields, self._senders)
        if code:
            return self._refuse(400, code)
        if self._texting.has_stopped(fields["To"]):
            return self._refuse(400, 21610)
        plan = OUTAGES.get(self._switches.outage) or self._plan(fields)
        if plan.answer is Answer.REFUSED:
            return self._refuse(400, plan.code)
        if plan.is_taken:
            message = self._take(fields, plan)
            if plan.is_early and message.callback and self._outbox.wants(is_last=False):
                await self._post(message, plan.steps[0])
        else:
            self._record.add("not_taken", "twilio", to=fields["To"], plan=plan.name)
        try:
            await asyncio.sleep(self._switches.answer_delay_ms / 1000)
        finally:  # what was taken is sent, also when nobody waits for the answer any more
            if plan.is_taken:
                self._plan_steps(message)
        if plan.answer is Answer.ACCEPTED:
            return json_answer(201, self._resource(message))
        if plan.answer in STATUS:
            status = STATUS[plan.answer]
            return self._refuse(status, CREDENTIALS if plan.answer is Answer.UNAUTHORIZED else 20000 + status)
        return await no_answer(request, plan.answer, hang_ms=self._switches.hang_ms)

    def _plan(self, fields: Mapping[str, str]) -> Plan:
        plan = sms_plan(fields["To"])
        if not plan.is_once:
            return plan
        key = (fields["To"], fields.get("StatusCallback", ""))
        if key in self._seen:
            return SMS_DELIVERED
        self._seen.add(key)
        return plan

    def _take(self, fields: Mapping[str, str], plan: Plan) -> SentMessage:
        service = fields.get("MessagingServiceSid")
        message = SentMessage(
            to=fields["To"],
            sender=fields.get("From"),
            service=service,
            body=fields["Body"],
            callback=fields.get("StatusCallback", ""),
            plan=plan,
            status="accepted" if service else "queued",
        )
        self._messages[message.sid] = message
        self._by_recipient[message.to].append(message)
        digest = hashlib.sha256(message.body.encode()).hexdigest()
        facts = {"ref": message.sid, "attempt": message.attempt, "to": message.to, "plan": plan.name}
        self._record.add("taken", "twilio", **facts, text_sha256=digest)
        return message

    def _plan_steps(self, message: SentMessage) -> None:
        steps = message.plan.steps[1:] if message.plan.is_early else message.plan.steps
        for place, step in enumerate(steps, start=1):
            self._outbox.plan(place, self._happen, message, step, place == len(steps))
        if message.plan.reply:
            self._outbox.plan(len(steps) + 1, self._texting.write, message.to, message.plan.reply)

    def _happen(self, message: SentMessage, step: Step, is_last: bool) -> None:  # noqa: FBT001 - called by the clock
        message.status, message.code = step.word, step.fields.get("ErrorCode")
        message.sender = message.sender or next((one for one in self._senders if one.startswith("+")), None)
        if step.word in {"sent", "delivered"} and message.sent is None:
            message.sent = time.time()
        if message.callback and self._outbox.wants(is_last=is_last):
            for _ in range(step.copies):
                self._outbox.begin(partial(self._post, message, step))

    async def _post(self, message: SentMessage, step: Step) -> None:
        form = {
            "AccountSid": self._account,
            "ApiVersion": "2010-04-01",
            "From": message.sender or "",
            "MessageSid": message.sid,
            "MessageStatus": step.word,
            "SmsSid": message.sid,
            "SmsStatus": step.word,
            "To": message.to,
            **({"MessagingServiceSid": message.service} if message.service else {}),
            **step.fields,
        }
        async with message.in_order:
            await self._outbox.post_form(message.callback, form, attempt=message.attempt)

    def _list(self, request: BaseRequest) -> Response:
        query = dict(parse_qsl(request.query_string, keep_blank_values=True))
        if query.keys() - FILTERS or not query.get("PageSize", "50").isdecimal():
            return self._refuse(400, 20001)
        size = min(int(query.get("PageSize", "50")), LARGEST_PAGE)
        known = self._by_recipient[query["To"]] if "To" in query else list(self._messages.values())
        found = [message for message in reversed(known) if matches(message, query)]
        token = query.get("PageToken", "")
        start = next((place for place, one in enumerate(found, start=1) if f"PA{one.sid}" == token), 0)
        page = found[start : start + size]
        number = int(query["Page"]) if query.get("Page", "").isdecimal() else 0
        more = None
        if start + size < len(found):
            kept = {name: value for name, value in query.items() if name not in {"Page", "PageToken", "PageSize"}}
            following = {**kept, "PageSize": str(size), "Page": str(number + 1), "PageToken": f"PA{page[-1].sid}"}
            more = str(request.rel_url.with_query(following))
        return json_answer(
            200,
            {
                "messages": [self._resource(message) for message in page],
                "uri": str(request.rel_url),
                "first_page_uri": str(request.rel_url.without_query_params("Page", "PageToken")),
                "next_page_uri": more,
                "previous_page_uri": None,
                "page": number,
                "page_size": size,
                "start": start,
                "end": start + len(page) - 1,
            },
        )

    def _resource(self, message: SentMessage) -> dict[str, object]:
        path = f"/2010-04-01/Accounts/{self._account}/Messages/{message.sid}"
        return {
            "account_sid": self._account,
            "api_version": "2010-04-01",
            "body": message.body,
            "date_created": _date(message.created),
            "date_sent": _date(message.sent),
            "date_updated": _date(message.sent or message.created),
            "direction": "outbound-api",
            "error_code": int(message.code) if message.code else None,
            "error_message": None,
            "from": message.sender,
            "messaging_service_sid": message.service,
            "num_media": "0",
            "num_segments": "0" if message.service else "1",
            "price": None,
            "price_unit": "USD",
            "sid": message.sid,
            "status": message.status,
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": message.to,
            "uri": f"{path}.json",
        }

    def _refuse(self, status: int, code: int) -> Response:
        if status < 429:  # noqa: PLR2004 - what comes after is recorded as not taken
            self._record.add("refused", "twilio", code=code)
        more = f"https://www.twilio.com/docs/errors/{code}"
        message = MEANING.get(code, "An error that is not in any list yet")
        return json_answer(status, {"code": code, "message": message, "more_info": more, "status": status})


def matches(message: SentMessage, query: Mapping[str, str]) -> bool:
    """True when the list's filters let it through. An unsent message has no DateSent, and matches none.

    The SDK writes a day as its first second: DateSent means that day, the other two an instant.
    """
    if query.get("From", message.sender) != message.sender:
        return False
    sent = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(message.sent)) if message.sent else None
    on, before, after = query.get("DateSent"), query.get("DateSent<"), query.get("DateSent>")
    if sent is None:
        return on is None and before is None and after is None
    return (
        (on is None or sent[:10] == on[:10])
        and (before is None or sent[: len(before)] <= before)
        and (after is None or sent[: len(after)] >= after)
    )


def _date(moment: float | None) -> str | None:
    return formatdate(moment) if moment else None
