"""What becomes of which letter: the word before `Example Street` in its first address line.

`100 Returned Example Street` comes back; any other street is delivered.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from notifier.carriers.sandbox.magic import Answer, Plan, Step

STREET = re.compile(r"[0-9]+ ([a-z-]+) example street\Z", re.IGNORECASE)
REFUSED = "refused "  # before the vendor's own code, in the name of a plan
BEFORE_MAILING = frozenset(
    {"created", "rejected", "rendered_pdf", "rendered_thumbnails", "failed", "deleted", "viewed"}
)


def _steps(*words: str) -> tuple[Step, ...]:
    return tuple(Step(word) for word in words)


def _refused(code: str) -> Plan:
    return Plan(REFUSED + code, answer=Answer.REFUSED, is_taken=False)


def _not_taken(name: str, answer: Answer, *, is_once: bool = False) -> Plan:
    return Plan(name, answer=answer, is_taken=False, is_once=is_once)


_MADE = _steps("created", "rendered_pdf")
_SENT = (*_MADE, *_steps("mailed", "in_transit", "in_local_area", "processed_for_delivery", "delivered"))
DELIVERED = Plan("delivered", _SENT)

LETTERS: Mapping[str, Plan] = MappingProxyType(
    {
        "returned": Plan("returned", (*_MADE, *_steps("mailed", "in_transit", "returned_to_sender"))),
        "delivered-then-returned": Plan("delivered, then returned", (*_SENT, *_steps("returned_to_sender"))),
        "rejected": Plan("rejected", _steps("created", "rejected")),
        "failed": Plan("failed in rendering", _steps("created", "failed")),
        "unclaimed": Plan("unclaimed", (*_MADE, *_steps("mailed", "pickup_available", "issue", "returned_to_sender"))),
        "forwarded": Plan("forwarded", (*_MADE, *_steps("mailed", "re-routed", "delivered"))),
        "viewed": Plan("viewed, then silent", (*_MADE, *_steps("viewed"))),
        "waiting": Plan("made, then silent", _MADE),
        "mailed": Plan("mailed, then silent", (*_MADE, *_steps("mailed"))),
        "silent": Plan("silent"),
        "undeliverable": _refused("failed_deliverability_strictness"),
        "blamed": _refused("foreign_return_address"),
        "unknown-code": _refused("moon_phase_unsuitable"),
        "conflict": _refused("conflict"),
        "throttled": _not_taken("429 always", Answer.THROTTLED),
        "throttled-once": _not_taken("429 once", Answer.THROTTLED, is_once=True),
        "error": _not_taken("500", Answer.BROKEN),
        "error-once": _not_taken("500 once", Answer.BROKEN, is_once=True),
        "error-but-made": Plan("503, but is made", _SENT, Answer.UNAVAILABLE),
        "timeout": _not_taken("times out, and is not made", Answer.HANGING),
        "timeout-once": _not_taken("times out once, and is not made", Answer.HANGING, is_once=True),
        "timeout-but-made": Plan("times out, but is made", _SENT, Answer.HANGING),
        "timeout-but-silent": Plan("times out, is made, and is silent", (), Answer.HANGING),
        "reset": _not_taken("connection cut", Answer.RESET),
        "reset-but-made": Plan("connection cut, but is made", _SENT, Answer.RESET),
        "garbled": Plan("answer unreadable, but is made", _SENT, Answer.GARBLED),
        "duplicate": Plan("events twice", (Step("created"), Step("mailed", copies=2), Step("delivered", copies=3))),
        "reordered": Plan("events in the wrong order", _SENT[::-1]),
        "early": Plan("event before the answer", _SENT, is_early=True),
        "unknown": Plan("a word that nobody knows yet", (*_MADE, *_steps("teleported", "delivered"))),
    }
)


def letter_plan(address_line1: str) -> Plan:
    """What becomes of a letter to this street."""
    match = STREET.match(address_line1)
    return LETTERS.get(match[1].lower(), DELIVERED) if match else DELIVERED
