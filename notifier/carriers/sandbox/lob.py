"""Lob's side of the sandbox: /v1/letters, and the life of each letter.

It posts the events that the vendor keeps for live keys too: its test keys never see a letter mailed.
"""

import asyncio
import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from functools import partial
from secrets import token_hex

from aiohttp.web import BaseRequest, FileField, HTTPException, Response

from notifier.carriers.sandbox.answers import STATUS, json_answer, no_answer
from notifier.carriers.sandbox.lob_letters import MadeLetter, date, error, resource
from notifier.carriers.sandbox.lob_magic import BEFORE_MAILING, DELIVERED, REFUSED, letter_plan
from notifier.carriers.sandbox.lob_rules import fault
from notifier.carriers.sandbox.magic import Answer, Plan, Step
from notifier.carriers.sandbox.options import Options, Switches
from notifier.carriers.sandbox.outbox import Outbox
from notifier.carriers.sandbox.record import Record

TRIES = 5
LONGEST_KEY = 256
SECONDS = 5  # the vendor's rate is counted in these
FILTERS = frozenset({"limit", "after"})
LARGEST_PAGE = 100
CODES = {
    401: "unauthorized",
    404: "not_found",
    429: "rate_limit_exceeded",
    500: "internal_server_error",
    503: "service_unavailable",
}


class LobSide:
    """Makes letters, lists them, takes them back, and tells about them."""

    def __init__(self, *, options: Options, switches: Switches, outbox: Outbox, record: Record) -> None:
        self._key = "Basic " + b64encode(f"{options.lob_key}:".encode()).decode("ascii") if options.lob_key else None
        self._secret = options.lob_secret.encode()
        self._switches, self._outbox, self._record = switches, outbox, record
        self._letters: dict[str, MadeLetter] = {}
        self._by_key: dict[str, MadeLetter] = {}
        self._seen: set[str] = set()
        self._asked: Counter[tuple[str, int]] = Counter()

    async def answer(self, request: BaseRequest) -> Response:
        """Any request below /v1/."""
        self._record.counts["lob.requests"] += 1
        endpoint, _, letter_id = request.path.removeprefix("/v1/").partition("/")
        if self._key is None or request.headers.get("Authorization") != self._key:
            return self._refuse(401, "unauthorized", "Your API key is not valid.")
        if endpoint != "letters" or (request.method, bool(letter_id)) not in METHODS:
            return self._refuse(404, "unrecognized_endpoint", "The requested endpoint doesn't exist.")
        used = self._count(f"{request.method} {endpoint}")
        if used > self._switches.letters_per_5_seconds:
            return self._rated(self._refuse(429, CODES[429], "Rate limit exceeded."), used)
        if not letter_id:
            answer = await self._make(request) if request.method == "POST" else self._list(request)
        elif letter_id not in self._letters:
            answer = self._refuse(404, "not_found", "letter not found")
        elif request.method == "GET":
            answer = json_answer(200, resource(self._letters[letter_id], self._switches))
        else:
            answer = self._take_back(self._letters[letter_id])
        return self._rated(answer, used)

    def _count(self, endpoint: str) -> int:
        place = (endpoint, int(time.time()) // SECONDS)
        self._asked[place] += 1
        return self._asked[place]

    def _rated(self, answer: Response, used: int) -> Response:
        limit = self._switches.letters_per_5_seconds
        answer.headers["X-Rate-Limit-Limit"] = str(limit)
        answer.headers["X-Rate-Limit-Remaining"] = str(max(0, limit - used))
        answer.headers["X-Rate-Limit-Reset"] = str((int(time.time()) // SECONDS + 1) * SECONDS)
        return answer

    async def _make(self, request: BaseRequest) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if request.query_string or len(key) > LONGEST_KEY:
            return self._refuse(422, "bad_request", "The idempotency key stands in the header, 256 characters at most.")
        fields, file = await _form(request)
        if key in self._by_key:  # whatever the body says now
            return json_answer(200, resource(self._by_key[key], self._switches))
        wrong = fault(fields, file)
        plan = self._plan(fields, key)
        if wrong is None and plan.answer is Answer.REFUSED:
            wrong = (plan.name.removeprefix(REFUSED), "refused by the sandbox")
        if wrong is not None:
            return self._refuse(422, *wrong)
        if not plan.is_taken:
            self._record.add("not_taken", "lob", attempt=fields.get("metadata[attempt]"), plan=plan.name)
            return await self._say(request, plan, None)
        letter = self._take(fields, file or b"", plan, key)
        if plan.is_early and self._wants(is_last=False):
            await self._post(letter, plan.steps[0])
        return await self._say(request, plan, letter)

    async def _say(self, request: BaseRequest, plan: Plan, letter: MadeLetter | None) -> Response:
        try:
            await asyncio.sleep(self._switches.answer_delay_ms / 1000)
        finally:  # what was taken is made, also when nobody waits for the answer any more
            if letter is not None:
                self._plan_steps(letter)
        if plan.answer is Answer.ACCEPTED and letter is not None:
            return json_answer(200, resource(letter, self._switches))
        if plan.answer in STATUS:
            status = STATUS[plan.answer]
            return json_answer(status, error(status, CODES[status], "trouble"))
        return await no_answer(request, plan.answer, hang_ms=self._switches.hang_ms)

    def _plan(self, fields: Mapping[str, str], key: str) -> Plan:
        plan = letter_plan(fields.get("to[address_line1]", ""))
        if not plan.is_once:
            return plan
        if key in self._seen:
            return DELIVERED
        self._seen.add(key)
        return plan

    def _take(self, fields: Mapping[str, str], file: bytes, plan: Plan, key: str) -> MadeLetter:
        letter = MadeLetter(fields, plan)
        self._letters[letter.id] = letter
        if key:
            self._by_key[key] = letter
        facts = {"ref": letter.id, "attempt": letter.attempt, "plan": plan.name, "key": key}
        sent = {name: value for name, value in fields.items() if not name.startswith("metadata")}
        self._record.add("taken", "lob", **facts, fields=sent, text_sha256=hashlib.sha256(file).hexdigest())
        return letter

    def _plan_steps(self, letter: MadeLetter) -> None:
        steps = letter.plan.steps[1:] if letter.plan.is_early else letter.plan.steps
        for place, step in enumerate(steps, start=1):
            self._outbox.plan(place, self._happen, letter, step, place == len(steps))

    def _happen(self, letter: MadeLetter, step: Step, is_last: bool) -> None:  # noqa: FBT001 - called by the clock
        if letter.deleted:
            return
        if step.word in {"rendered_pdf", "failed"}:
            letter.status = step.word.removesuffix("_pdf")
        elif step.word not in BEFORE_MAILING:
            letter.scans.append((step.word, time.time()))
        if self._wants(is_last=is_last):
            self._outbox.begin(partial(self._post, letter, step))

    def _wants(self, *, is_last: bool) -> bool:
        return bool(self._switches.lob_webhook_url) and self._outbox.wants(is_last=is_last)

    def _take_back(self, letter: MadeLetter) -> Response:
        is_open = (time.time() - letter.created) * 1000 < self._switches.cancel_window_ms
        if letter.deleted:
            return self._refuse(404, "not_found", "letter not found")
        if not is_open or letter.scans:
            return self._refuse(422, "not_deletable", "the cancellation window has passed")
        letter.deleted = True
        self._record.add("deleted", "lob", ref=letter.id, attempt=letter.attempt)
        if self._wants(is_last=True):
            self._outbox.begin(partial(self._post, letter, Step("deleted")))
        return json_answer(200, {"id": letter.id, "deleted": True})

    async def _post(self, letter: MadeLetter, step: Step) -> None:
        """The webhook: repeated until it is taken, a bounded number of times; a copy keeps its id."""
        word = ("letter." if step.word in BEFORE_MAILING else letter.way) + step.word
        event = {
            "id": "evt_" + token_hex(8),
            "body": {"id": letter.id, "deleted": True} if step.word == "deleted" else resource(letter, self._switches),
            "reference_id": letter.id,
            "event_type": {"id": word, "enabled_for_test": True, "resource": "letters", "object": "event_type"},
            "date_created": date(time.time()),
            "object": "event",
        }
        body = json.dumps(event).encode()
        async with letter.in_order:
            for _ in range(step.copies):
                await self._deliver(letter, word, event["id"], body)

    async def _deliver(self, letter: MadeLetter, word: str, event_id: object, body: bytes) -> None:
        for again in range(1, TRIES + 1):
            stamp = str(int(time.time() * 1000))
            headers = {
                "Content-Type": "application/json",
                "Lob-Signature": hmac.digest(self._secret, stamp.encode() + b"." + body, "sha256").hex(),
                "Lob-Signature-Timestamp": stamp,
            }
            status = await self._outbox.post(self._switches.lob_webhook_url, headers, body)
            facts = {"ref": letter.id, "attempt": letter.attempt, "word": word, "event_id": event_id}
            self._record.add("receipt", "lob", **facts, http=status, tries=again)
            if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own numbers
                return
            await asyncio.sleep(self._switches.delay_ms / 1000 * 2**again)

    def _list(self, request: BaseRequest) -> Response:
        query = dict(request.rel_url.query)
        wanted = {name: value for name, value in query.items() if name.startswith("metadata[")}
        limit = query.get("limit", "10")
        if query.keys() - FILTERS - wanted.keys() or not limit.isdecimal() or not 1 <= int(limit) <= LARGEST_PAGE:
            return self._refuse(422, "invalid", "a parameter is not allowed, or out of its range")
        found = [
            letter
            for letter in reversed(self._letters.values())
            if all(letter.fields.get(name) == value for name, value in wanted.items())
        ]
        start = next((place for place, one in enumerate(found, start=1) if one.id == query.get("after")), 0)
        page = found[start : start + int(limit)]
        more = None
        if start + len(page) < len(found):
            more = str(request.url.with_query({**wanted, "limit": limit, "after": page[-1].id}))
        listed = [resource(letter, self._switches) for letter in page]
        return json_answer(
            200, {"data": listed, "object": "list", "next_url": more, "previous_url": None, "count": len(page)}
        )

    def _refuse(self, status: int, code: str, message: str) -> Response:
        if status != 429:  # noqa: PLR2004 - HTTP's own number
            self._record.add("refused", "lob", code=code)
        return json_answer(status, error(status, code, message))


METHODS = {("POST", False), ("GET", False), ("GET", True), ("DELETE", True)}


async def _form(request: BaseRequest) -> tuple[dict[str, str], bytes | None]:
    """The fields of a form, and the file that was uploaded as `file`, if one was."""
    if request.content_type != "multipart/form-data":
        return {}, None
    try:
        form = await request.post()
    except (ValueError, HTTPException):
        return {}, None
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    file = form.get("file")
    return fields, file.file.read() if isinstance(file, FileField) else None
