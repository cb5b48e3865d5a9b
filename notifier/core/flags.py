"""Flags of contact points: what each means, which failure teaches it, and why what was planned to it is not sent."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from notifier.core.model import ContactFlag, ContactKind
from notifier.core.status import Reason

F, R = ContactFlag, Reason

FLAG_MEANING: Final[Mapping[ContactFlag, str]] = MappingProxyType(
    {
        F.OPTED_OUT: (
            "Whoever has it asked us to stop, or the carrier says so. It says nothing about an objection; the person"
            " is told in other ways."
        ),
        F.NOT_MOBILE: "A landline, or another number that takes no text messages.",
        F.DEAD: "Out of use: there is no such number or mailbox.",
        F.WRONG_PERSON: "Whoever has it says that it is not the person's.",
        F.RETURNED: "The post brought a letter back from it.",
        F.MOVED: "The post brought a letter back from it and named another address.",
        F.DECEASED: "The post or an officer says that the person has died. Find out who is to be told.",
    }
)

SHARED: Final = frozenset({F.OPTED_OUT, F.NOT_MOBILE, F.DEAD})
"""What is true of a number or mailbox itself, whoever is written to: other contact points with the same value have it
too. Who it belongs to, and whether a name receives post there, is true of one person only."""

FLAG_OF_REASON: Final[Mapping[Reason, ContactFlag]] = MappingProxyType(
    {
        R.OPTED_OUT: F.OPTED_OUT,
        R.NOT_MOBILE: F.NOT_MOBILE,
        R.NUMBER_DEAD: F.DEAD,
        R.INVALID_ADDRESS: F.DEAD,
        R.MAILBOX_REFUSED: F.DEAD,
        R.RETURNED_BY_POST: F.RETURNED,  # a letter carrier's word; what is scanned in says more (`returned_mail`)
        R.SUPPRESSED: F.DEAD,  # the carrier has had an earlier bounce from it and will not try again
    }
)
"""A failure that will not be different the next time. Every other reason is of the moment, of our text or of us."""

_REASON: Final[Mapping[ContactFlag, Reason]] = MappingProxyType(
    {
        F.OPTED_OUT: R.OPTED_OUT,
        F.NOT_MOBILE: R.NOT_MOBILE,
        F.DEAD: R.INVALID_ADDRESS,
        F.WRONG_PERSON: R.WRONG_PERSON,
        F.RETURNED: R.RETURNED_BY_POST,
        F.MOVED: R.RETURNED_BY_POST,
        F.DECEASED: R.DECEASED,
    }
)


def reason_of(flag: ContactFlag, kind: ContactKind) -> Reason:
    """Why a message that was planned to a contact point with this flag is not sent."""
    if flag is F.DEAD and kind is ContactKind.PHONE:
        return R.NUMBER_DEAD
    return _REASON[flag]
