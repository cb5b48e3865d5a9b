"""What each task asks of a caseworker, and what each resolution says, in a sentence."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from notifier.core.model import Resolution, TaskKind

K, R = TaskKind, Resolution

TASK_MEANING: Final[Mapping[TaskKind, str]] = MappingProxyType(
    {
        K.NOT_REACHED: "Every message failed or came back and nothing more is planned. Find another way to tell them.",
        K.UNKNOWN_OUTCOME: (
            "Nobody knows whether a message went out, and it is not sent again by itself. Decide what follows."
        ),
        K.BATCH_NOT_MAILED: "Letters were printed and nobody has said that they were mailed. Mail or void the batch.",
        K.MAIL_RETURNED: "The post brought a letter back. Look for a better address.",
        K.STOP_RECEIVED: 'The person sent STOP. Ask them: "Did you mean to object?"',
        K.ONLY_WAY_OPTED_OUT: "STOP came from the only contact that could be used. Find another way to tell them.",
        K.WRONG_PERSON: "Whoever has a contact says that it is not the person's. Find the right one.",
        K.REPLY_RECEIVED: "The person, or whoever has their number, wrote to us. Read it and answer.",
        K.CALL: "Call the person, with an interpreter where one is needed.",
        K.REVIEW: (
            "What the plan wants cannot be sent. About a matter: no carrier in use serves a channel, or a pack that it"
            " is bound to is not here in that version. About the agency: its return address is not a name, a street and"
            " CITY ST ZIP. Decide what follows."
        ),
    }
)

RESOLUTION_MEANING: Final[Mapping[Resolution, str]] = MappingProxyType(
    {
        R.DONE: "What it asked for was done.",
        R.TOLD: "The person was told in another way.",
        R.MENDED: "A contact was put right or added.",
        R.NO_WAY: "No other way was found.",
        R.NOT_NEEDED: "It settled itself, or was opened by mistake.",
    }
)
