"""What a message to our number means, in sentences: the same in the API, the console and the glossary."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from notifier.core.model import InboundKind

INBOUND_MEANING: Final[Mapping[InboundKind, str]] = MappingProxyType(
    {
        InboundKind.STOP: "STOP: no more text messages to this number. It says nothing about an objection.",
        InboundKind.START: "START: text messages to this number may go out again. Nothing is sent by that alone.",
        InboundKind.HELP: "HELP: the carrier has answered with how to reach us.",
        InboundKind.TEXT: "A message for a human to read.",
    }
)
