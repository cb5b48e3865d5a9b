"""SendGrid's side of the sandbox: /v3/mail/send, and the life of each mail."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

from aiohttp.web import BaseRequest, HTTPRequestEntityTooLarge, Response

from notifier.carriers.sandbox.answers import STATUS, json_answer, no_answer
from notifier.carriers.sandbox.magic import BROKEN_ELEMENT, EMAIL_DELIVERED, OUTAGES, Answer, Plan, Step, email_plan
from notifier.carriers.sandbox.options import Options, Switches
from notifier.carriers.sandbox.outbox import Outbox
from notifier.carriers.sandbox.record import Record
from notifier.carriers.sandbox.sendgrid_rules import ADDRESS, Fault, faults

HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
# The request as a whole has one answer: the worst of its recipients'.
WORST = (
    Answer.UNAUTHORIZED,
    Answer.HANGING,
    Answer.RESET,
    Answer.GARBLED,
    Answer.UNAVAILABLE,
    Answer.BROKEN,
    Answer.THROTTLED,
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One person's mail of a request."""

    to: str
    arguments: Mapping[str, str]
    message_id: str  # the request's, which the answer names, with this mail's own ending
    plan: Plan


class SendGridSide:
    """Takes mail, and tells about it."""

    def __init__(self, *, options: Options, switches: Switches, outbox: Outbox, record: Record) -> None:
        self._key, self._mailboxes = f"Bearer {options.api_key}", options.mailboxes
        self._switches, self._outbox, self._record = switches, outbox, record
        self._seen: set[str] = set()

    async def answer(self, request: BaseRequest) -> Response:
        """Any request below /v3/."""
        self._record.counts["sendgrid.requests"] += 1
        rules = (
            (request.headers.get("Authorization") != self._key, 401, "The provided authorization grant is invalid"),
            (request.path != "/v3/mail/send", 404, "Not Found"),
            (request.method != "POST", 405, "method not allowed"),
            (request.content_type != "application/json", 415, "Content-Type should be application/json."),
        )
        for is_broken, status, message in rules:
            if is_broken:
                return self._refuse(status, [(message, None)])
        try:
            mail = json.loads(await request.read())
        except HTTPRequestEntityTooLarge:
            return Response(
                status=413, text="<html><h1>413 Request Entity Too Large</h1></html>", content_type="text/html"
            )
        except (ValueError, RecursionError):
            return self._refuse(400, [("Bad Request", None)])
        found = faults(mail)
        if not found and mail["from"]["email"] not in self._mailboxes:
            return self._refuse(403, [("The from address does not match a verified Sender Identity.", "from")])
        return self._refuse(400, found) if found else await self._take(request, mail)

    async def _take(self, request: BaseRequest, mail: Mapping[str, Any]) -> Response:
        people: list[dict[str, Any]] = mail["personalizations"]
        plans = [OUTAGES.get(self._switches.outage) or self._plan(person) for person in people]
        bad = [place for place, plan in enumerate(plans) if plan.answer is Answer.REFUSED]
        if bad:
            return self._refuse(400, [(ADDRESS, f"personalizations.{place}.to.0.email") for place in bad])
        answer = next((answer for answer in WORST if any(plan.answer is answer for plan in plans)), Answer.ACCEPTED)
        is_taken = all(plan.is_taken for plan in plans)
        request_id = token_urlsafe(16)
        taken: list[Mail] = []
        for place, (person, plan) in enumerate(zip(people, plans, strict=True)):
            arguments = {**mail.get("custom_args", {}), **person.get("custom_args", {})}
            for recipient in person["to"]:
                one = Mail(recipient["email"], arguments, f"{request_id}.sandbox-{place}", plan)
                self._note(one, mail, person, is_taken=is_taken)
                taken.append(one)
        if is_taken:
            await self._tell_early(taken)
        try:
            await asyncio.sleep(self._switches.answer_delay_ms / 1000)
        finally:  # what was taken is sent, also when nobody waits for the answer any more
            if is_taken:
                self._plan_steps(taken)
        if answer is Answer.ACCEPTED:
            return Response(status=202, headers={"X-Message-Id": request_id})
        if answer in STATUS:
            return self._trouble(answer)
        return await no_answer(request, answer, hang_ms=self._switches.hang_ms)

    def _plan(self, person: Mapping[str, Any]) -> Plan:
        mailbox = person["to"][0]["email"]
        plan = email_plan(mailbox)
        if not plan.is_once:
            return plan
        key = mailbox + json.dumps(person.get("custom_args"))
        if key in self._seen:
            return EMAIL_DELIVERED
        self._seen.add(key)
        return plan

    def _note(self, one: Mail, mail: Mapping[str, Any], person: Mapping[str, Any], *, is_taken: bool) -> None:
        """The record holds what this person would read, after substitution."""
        facts = {"attempt": one.arguments.get("attempt"), "to": one.to, "plan": one.plan.name}
        if not is_taken:
            self._record.add("not_taken", "sendgrid", **facts)
            return
        parts = {part["type"]: part["value"] for part in mail["content"]}
        texts = [
            parts.get("text/plain", ""),
            parts.get("text/html", ""),
            person.get("subject", mail.get("subject", "")),
        ]
        for token, value in person.get("substitutions", {}).items():
            texts = [text.replace(token, value) for text in texts]
        digests = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if text else None for text in texts]
        names = ("text_sha256", "html_sha256", "subject_sha256")
        self._record.add("taken", "sendgrid", ref=one.message_id, **facts, **dict(zip(names, digests, strict=True)))

    async def _tell_early(self, mails: Sequence[Mail]) -> None:
        events = [event for one in mails if one.plan.is_early for event in _events(one, one.plan.steps[0])]
        if events and self._switches.webhook_url and self._outbox.wants(is_last=False):
            await self._outbox.post_events(events)

    def _plan_steps(self, mails: Sequence[Mail]) -> None:
        for one in mails:
            steps = one.plan.steps[1:] if one.plan.is_early else one.plan.steps
            for place, step in enumerate(steps, start=1):
                self._outbox.plan(place, self._happen, one, step, place == len(steps))

    def _happen(self, one: Mail, step: Step, is_last: bool) -> None:  # noqa: FBT001 - called by the clock
        if self._switches.webhook_url and self._outbox.wants(is_last=is_last):
            self._outbox.add_events(_events(one, step))

    def _trouble(self, answer: Answer) -> Response:
        status = STATUS[answer]
        headers = {
            "X-RateLimit-Limit": "600",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(time.time()) + 2),
        }
        body = {"errors": [{"message": "too many requests" if status == 429 else "Internal Server Error"}]}  # noqa: PLR2004
        return json_answer(status, body, headers if answer is Answer.THROTTLED else None)

    def _refuse(self, status: int, found: Sequence[Fault]) -> Response:
        self._record.add("refused", "sendgrid", code=status)
        errors = [{"message": message, "field": field, "help": HELP if field else None} for message, field in found]
        return json_answer(status, {"errors": errors})


def _events(one: Mail, step: Step) -> list[object]:
    """The step's event, as many times as it is told; a repeated one keeps its id."""
    if step.word == BROKEN_ELEMENT:
        return [BROKEN_ELEMENT]
    event = {
        "email": one.to,
        "timestamp": int(time.time()),
        "smtp-id": f"<{one.message_id}@sandbox>",
        "event": step.word,
        "sg_event_id": token_urlsafe(16),
        "sg_message_id": one.message_id,
        **one.arguments,
        **step.fields,
    }
    return [event] * step.copies
