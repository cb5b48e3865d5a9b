"""What the post's reason for bringing a letter back means, and what follows from it.

The codes are the endorsements of the US post (DMM 507, exhibit 1.4.1); what each does to a notice is the table of
return reasons that the packs build on: Jones v. Flowers, 547 U.S. 220 (2006), for certified mail that nobody claims.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final

from notifier.core.model import ContactFlag, PostalAddress, PostService


class UspsReason(StrEnum):
    """Why the post brought a letter back, as it is endorsed."""

    ANK = "ANK"
    NSN = "NSN"
    NSS = "NSS"
    IA = "IA"
    MLNA = "MLNA"
    UTF = "UTF"
    FOE = "FOE"
    UNC = "UNC"
    REF = "REF"
    VAC = "VAC"
    NMR = "NMR"
    BC = "BC"
    DEC = "DEC"
    TA = "TA"
    NONE = "NONE"  # our own: nothing on the envelope can be read


class NextStep(StrEnum):
    """What is to be done by somebody, in a word."""

    MEND_ADDRESS = auto()  # look into the agency's files, or search where the law allows it
    FOLLOW_LABEL = auto()  # write to the address on the yellow label; never to one that the issuer names
    FIRST_CLASS = auto()  # plain first-class mail at once, and a second channel
    RECORD_REFUSAL = auto()  # first-class mail as well, and a note for counsel
    OTHER_CHANNEL = auto()
    NEXT_OF_KIN = auto()
    WAIT = auto()  # and give more time


@dataclass(frozen=True, slots=True)
class ReturnRule:
    """What a reason means. `defeats`: whether the attempt counts for nothing; None when it only waits.

    `flag`: nothing more is sent to the address. `stops_texts`: nor to the person's phones. `keeps_mailing`: a letter
    may follow without a human's decision.
    """

    meaning: str
    step: NextStep
    defeats: bool | None
    flag: bool = True
    stops_texts: bool = False
    keeps_mailing: bool = True


N, S = UspsReason, NextStep

RULES: Final[Mapping[UspsReason, ReturnRule]] = MappingProxyType(
    {
        N.ANK: ReturnRule("Attempted, not known: nobody of that name is known there.", S.MEND_ADDRESS, defeats=True),
        N.NSN: ReturnRule("No such number in the street.", S.MEND_ADDRESS, defeats=True),
        N.NSS: ReturnRule("No such street.", S.MEND_ADDRESS, defeats=True),
        N.IA: ReturnRule("Insufficient address: something is missing, often the unit.", S.MEND_ADDRESS, defeats=True),
        N.MLNA: ReturnRule("Moved, left no address.", S.FOLLOW_LABEL, defeats=True),
        N.UTF: ReturnRule("Unable to forward.", S.FOLLOW_LABEL, defeats=True),
        N.FOE: ReturnRule("Moved, and the order to forward has expired.", S.FOLLOW_LABEL, defeats=True),
        N.UNC: ReturnRule("Unclaimed: nobody fetched or accepted it.", S.FIRST_CLASS, defeats=True, flag=False),
        N.REF: ReturnRule(
            "Refused by whoever was there; that usually counts as served.", S.RECORD_REFUSAL, defeats=False, flag=False
        ),
        N.VAC: ReturnRule("Vacant: nobody lives there.", S.OTHER_CHANNEL, defeats=True),
        N.NMR: ReturnRule("No mail receptacle there.", S.OTHER_CHANNEL, defeats=True),
        N.BC: ReturnRule("The post office box is closed.", S.OTHER_CHANNEL, defeats=True),
        N.DEC: ReturnRule("The person has died.", S.NEXT_OF_KIN, defeats=True, stops_texts=True, keeps_mailing=False),
        N.TA: ReturnRule("Temporarily away, or mail held.", S.WAIT, defeats=None, flag=False),
        N.NONE: ReturnRule("It came back, and no reason can be read on it.", S.MEND_ADDRESS, defeats=True),
    }
)


class Mailing(StrEnum):
    """The letter that follows at once, if any."""

    NONE = auto()  # a caseworker decides
    FORWARDED = auto()  # to the address that the post named
    FIRST_CLASS = auto()  # plain mail to the same address


def next_mailing(
    reason: UspsReason, service: PostService, *, can_forward: bool, is_first_return: bool, plain_mail_went: bool
) -> Mailing:
    """What is mailed at once.

    `can_forward`: the post named an address that no letter of this notice went to yet, and that none came back from.
    `is_first_return`: nothing else came back from the address of this letter: it gets no third one.
    `plain_mail_went`: a first-class letter of this notice is on its way to the same address, or went there.
    """
    rule = RULES[reason]
    if can_forward and rule.keeps_mailing:
        return Mailing.FORWARDED
    unaccepted = rule.step in {NextStep.FIRST_CLASS, NextStep.RECORD_REFUSAL}
    if unaccepted and service is PostService.CERTIFIED and is_first_return and not plain_mail_went:
        return Mailing.FIRST_CLASS
    return Mailing.NONE


def needs_a_human(reason: UspsReason, mailing: Mailing) -> bool:
    """Whether a caseworker is asked: when no letter follows, and about a refusal or a death in any case."""
    return mailing is Mailing.NONE or RULES[reason].step in {NextStep.RECORD_REFUSAL, NextStep.NEXT_OF_KIN}


def flag_of(reason: UspsReason, *, has_moved: bool) -> ContactFlag | None:
    """What the address that it came back from is marked with. `has_moved`: the post named another one."""
    if has_moved:
        return ContactFlag.MOVED
    return ContactFlag.RETURNED if RULES[reason].flag else None


_ACP_STREET: Final = re.compile(r"1001\s+E(AST)?\.?\s+62(ND)?\s+AVE(NUE)?\b", re.IGNORECASE)
_ACP_ZIP: Final = "80216"


def is_confidential_substitute(address: PostalAddress) -> bool:
    """Whether this is the substitute address of Colorado's Address Confidentiality Program (C.R.S. 24-30-2104).

    Such an address is never replaced: where the person really lives is protected, also from us.
    """
    return address.postal_code.startswith(_ACP_ZIP) and any(_ACP_STREET.search(line) for line in address.lines)
