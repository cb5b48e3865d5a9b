"""Why an attempt failed, in sentences: the same in the API, the console and the glossary."""

from collections.abc import Mapping
from types import MappingProxyType

from notifier.core.status import Reason

R = Reason

REASON_MEANING: Mapping[Reason, str] = MappingProxyType(
    {
        R.INVALID_ADDRESS: "The carrier says that there is no such number, mailbox or address.",
        R.NOT_MOBILE: "A landline, or another number that takes no text messages.",
        R.NUMBER_DEAD: "The number is out of use.",
        R.UNREACHABLE: "Switched off, out of coverage, or the carrier has no way to it.",
        R.OPTED_OUT: "The person asked this sender to stop, or unsubscribed. It says nothing about an objection.",
        R.BLOCKED: "The network, the mail server or the person blocks it.",
        R.FILTERED: "Held to be spam: that is about our text or sender, not about the person.",
        R.SUPPRESSED: "The carrier itself no longer writes to this mailbox.",
        R.MAILBOX_REFUSED: "The person's mail server refused it.",
        R.EXPIRED: "It could not be delivered before its time ran out.",
        R.CARRIER_ERROR: "The carrier's own trouble.",
        R.RATE_LIMITED: "The carrier takes no more for now, or took no more in time.",
        R.MISCONFIGURED: "Our account, sender or request is wrong. Nobody's number or mailbox is to blame.",
        R.TIMED_OUT: "No answer in time.",
        R.WORKER_LOST: "Our own worker was lost while the carrier was called.",
        R.NO_TEXT: "It could not be written: there is no text for it, or our fonts lack a character of the name.",
        R.UNREADABLE: "What is kept for it is damaged, so that it could not be written.",
        R.DOES_NOT_FIT: "The name or address is longer than the letter carrier prints, and nothing is cut. Shorten it.",
        R.NOT_OFFERED: "The carrier does not offer this service there: certified mail goes to US addresses only.",
        R.RETURNED_BY_POST: "The post brought it back.",
        R.DECEASED: "The post or an officer says that the person has died.",
        R.WRONG_PERSON: "Whoever has this number or address says that it is not the person's.",
        R.UNSPECIFIED: "The carrier gave no reason that we can read; its own code stands beside it.",
    }
)
