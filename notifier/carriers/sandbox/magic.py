"""Who gets which outcome: a phone number's last two digits, or the first word of a mailbox.

Phones: `+1 NXX 555 01LL`, numbers set aside for fiction. `LL` from 00 to 49, and every number of another shape, is
delivered. Mailboxes: `word.anything@example.com|org|net`. Any other mailbox is delivered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from types import MappingProxyType

FICTION = re.compile(r"\+1[2-9][0-9]{2}55501([0-9]{2})\Z")
MAILBOX = re.compile(r"([a-z-]+)\.[^@]*@example\.(?:com|org|net)\Z", re.IGNORECASE)


class Answer(StrEnum):
    """What the carrier answers to the request itself."""

    ACCEPTED = auto()
    REFUSED = auto()  # with the plan's code
    THROTTLED = auto()  # 429
    UNAUTHORIZED = auto()  # 401
    BROKEN = auto()  # 500
    UNAVAILABLE = auto()  # 503
    HANGING = auto()  # none, until the other side gives up
    RESET = auto()  # the connection is cut
    GARBLED = auto()  # 2xx, and no word can be read


@dataclass(frozen=True, slots=True)
class Step:
    """One receipt: the carrier's word, its further fields, how many times it is posted."""

    word: str
    fields: Mapping[str, str] = field(default_factory=dict)
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one message. `is_taken` says whether it is sent, whatever is answered.

    `is_once`: the answer is given once for a message; when it comes again it is delivered.
    `is_early`: the first receipt is posted before the answer.
    """

    name: str
    steps: tuple[Step, ...] = ()
    answer: Answer = Answer.ACCEPTED
    is_taken: bool = True
    is_once: bool = False
    is_early: bool = False
    code: int = 0
    reply: str = ""  # what the person writes back


def _refused(code: int) -> Plan:
    return Plan(f"refused {code}", answer=Answer.REFUSED, is_taken=False, code=code)


def _sms_failed(word: str, code: int) -> Plan:
    return Plan(f"{word} {code}", (Step("sent"), Step(word, {"ErrorCode": str(code)})))


def _not_taken(name: str, answer: Answer, *, is_once: bool = False) -> Plan:
    return Plan(name, answer=answer, is_taken=False, is_once=is_once)


_SENT = (Step("sent"), Step("delivered"))
SMS_DELIVERED = Plan("delivered", _SENT)

SMS: Mapping[int, Plan] = MappingProxyType(
    {
        50: _sms_failed("undelivered", 30003),  # switched off, out of coverage
        51: _sms_failed("undelivered", 30004),  # blocked
        52: _sms_failed("undelivered", 30005),  # no such number any more
        53: _sms_failed("undelivered", 30006),  # landline
        54: _sms_failed("undelivered", 30007),  # filtered
        55: _sms_failed("undelivered", 30008),  # the carrier does not know
        56: Plan("failed 30036", (Step("failed", {"ErrorCode": "30036"}),)),  # validity ran out
        57: Plan("failed 30001", (Step("failed", {"ErrorCode": "30001"}),)),  # queue overflow
        58: _sms_failed("undelivered", 30034),  # our sender is not registered
        59: _sms_failed("undelivered", 30410),  # time-out at the network; perhaps it went out
        60: _refused(21211),  # no phone number
        61: _refused(21614),  # not mobile
        62: _refused(21610),  # opted out
        63: _refused(21408),  # country not enabled: our configuration
        64: _refused(21606),  # sender not ours: our configuration
        65: _refused(21999),  # a code that nobody knows yet
        66: _refused(21612),  # no route
        67: _refused(21611),  # the sender's queue is full
        68: _refused(21635),  # a landline
        70: Plan("sent, then silent", (Step("sent"),)),
        71: Plan("silent"),
        72: Plan("times out, but is sent", _SENT, Answer.HANGING),
        73: _not_taken("times out, and is not sent", Answer.HANGING),
        74: _not_taken("429 once", Answer.THROTTLED, is_once=True),
        75: _not_taken("429 always", Answer.THROTTLED),
        76: _not_taken("500", Answer.BROKEN),
        77: Plan("503, but is sent", _SENT, Answer.UNAVAILABLE),
        78: _not_taken("connection cut", Answer.RESET),
        79: Plan("connection cut, but is sent", _SENT, Answer.RESET),
        80: Plan("receipts twice", (Step("sent", copies=2), Step("delivered", copies=3))),
        81: Plan("receipts in the wrong order", _SENT[::-1]),
        82: Plan("receipt before the answer", _SENT, is_early=True),
        83: Plan("delivered, then undelivered", (*_SENT, Step("undelivered", {"ErrorCode": "30008"}))),
        84: Plan("answer unreadable, but is sent", _SENT, Answer.GARBLED),
        85: Plan("a word that nobody knows yet", (Step("teleported"), Step("delivered"))),
        86: Plan("cancelled", (Step("canceled"),)),
        87: Plan("delivered; the person sends STOP", _SENT, reply="STOP"),
        88: Plan("delivered; the person writes back", _SENT, reply="Please stop. Who are you?"),
    }
)

_TAKEN = Step("processed")
_ARRIVED = Step("delivered", {"response": "250 OK"})
_BOUNCED = Step("bounce", {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such mailbox"})
_BLOCKED = Step("bounce", {"type": "blocked", "status": "4.7.1", "reason": "421 4.7.1 try later"})
EMAIL_DELIVERED = Plan("delivered", (_TAKEN, _ARRIVED))
BROKEN_ELEMENT = "(broken)"  # posted as a bare string inside the array


def _dropped(reason: str) -> Plan:
    return Plan(f"dropped: {reason}", (Step("dropped", {"reason": reason}),))


EMAIL: Mapping[str, Plan] = MappingProxyType(
    {
        "bounced": Plan("bounced", (_TAKEN, _BOUNCED)),
        "blocked": Plan("blocked", (_TAKEN, _BLOCKED)),
        "dropped": _dropped("Bounced Address"),
        "dropped-invalid": _dropped("Invalid"),
        "dropped-unsubscribed": _dropped("Unsubscribed Address"),
        "dropped-complained": _dropped("Spam Reporting Address"),
        "dropped-spam": _dropped("Spam Content"),
        "dropped-quota": _dropped("Recipient List over Package Quota"),
        "dropped-header": _dropped("Invalid SMTPAPI header"),
        "deferred": Plan("deferred, then delivered", (_TAKEN, Step("deferred", {"attempt": "1"}), _ARRIVED)),
        "delivered-then-bounced": Plan("delivered, then bounced", (_TAKEN, _ARRIVED, _BOUNCED)),
        "processed": Plan("processed, then silent", (_TAKEN,)),
        "silent": Plan("silent"),
        "invalid": Plan("refused", answer=Answer.REFUSED, is_taken=False),
        "throttled": _not_taken("429 always", Answer.THROTTLED),
        "throttled-once": _not_taken("429 once", Answer.THROTTLED, is_once=True),
        "error": _not_taken("500", Answer.BROKEN),
        "error-but-sent": Plan("503, but is sent", EMAIL_DELIVERED.steps, Answer.UNAVAILABLE),
        "timeout-but-sent": Plan("times out, but is sent", EMAIL_DELIVERED.steps, Answer.HANGING),
        "timeout": _not_taken("times out, and is not sent", Answer.HANGING),
        "reset": _not_taken("connection cut", Answer.RESET),
        "reset-but-sent": Plan("connection cut, but is sent", EMAIL_DELIVERED.steps, Answer.RESET),
        "duplicate": Plan("events twice", (Step("processed", copies=2), Step("delivered", copies=3))),
        "reordered": Plan("events in the wrong order", (_ARRIVED, _TAKEN)),
        "early": Plan("event before the answer", EMAIL_DELIVERED.steps, is_early=True),
        "broken-element": Plan("an element that nobody can read", (_TAKEN, Step(BROKEN_ELEMENT), _ARRIVED)),
        "unknown": Plan("a word that nobody knows yet", (Step("teleported"), _ARRIVED)),
        "opened": Plan("delivered, then opened", (_TAKEN, _ARRIVED, Step("open", {"useragent": "scanner"}))),
    }
)


OUTAGES: Mapping[str, Plan] = MappingProxyType(
    {
        "hangs": _not_taken("outage: hangs", Answer.HANGING),
        "broken": _not_taken("outage: 500", Answer.BROKEN),
        "throttles": _not_taken("outage: 429", Answer.THROTTLED),
        "refuses": _not_taken("outage: 401", Answer.UNAUTHORIZED),
        "cut": _not_taken("outage: connection cut", Answer.RESET),
    }
)
"""What happens to every message while the vendor is ill, whoever it is for. Nothing is sent."""


def sms_plan(number: str) -> Plan:
    """What happens to a message to this number (E.164)."""
    match = FICTION.match(number)
    return SMS.get(int(match[1]), SMS_DELIVERED) if match else SMS_DELIVERED


def email_plan(mailbox: str) -> Plan:
    """What happens to a message to this mailbox."""
    match = MAILBOX.match(mailbox)
    return EMAIL.get(match[1].lower(), EMAIL_DELIVERED) if match else EMAIL_DELIVERED
