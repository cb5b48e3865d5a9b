"""The words of each message, for one channel, written from opened parcels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from notifier.carriers.base import Message
from notifier.core.errors import MissingText
from notifier.core.language import message_language
from notifier.core.model import Channel
from notifier.core.status import Reason
from notifier.render.forms import MessageForm, email_form, sms_form
from notifier.render.renderer import Renderer
from notifier.usecases.compose import Parcel, Unwritten, available_languages, unreadable


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with what is needed to record its outcome. `text` is what is kept and committed to."""

    parcel: Parcel
    message: Message
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Written:
    """What everybody who wants one language in one matter gets, and the language that it is in."""

    form: MessageForm
    language: str


def write(parcels: Sequence[Parcel], *, renderer: Renderer, channel: Channel) -> tuple[list[Outgoing], list[Unwritten]]:
    """Write what can be written, each on its own: what cannot is given up with its reason and delays nobody."""
    outgoing: list[Outgoing] = []
    unwritten: list[Unwritten] = []
    written: dict[tuple[UUID, str | None], _Written] = {}
    for parcel in parcels:
        try:
            wanted = parcel.claimed.matter_id, parcel.language
            if wanted not in written:
                written[wanted] = _write(parcel, renderer, channel)
            outgoing.append(_address(parcel, written[wanted], channel))
        except MissingText:
            unwritten.append(Unwritten(parcel.claimed, Reason.NO_TEXT))
        except Exception as error:  # noqa: BLE001 # whatever is wrong with it, it is wrong with this one
            unwritten.append(Unwritten(parcel.claimed, unreadable(parcel.claimed.attempt_id, error)))
    return outgoing, unwritten


def _write(parcel: Parcel, renderer: Renderer, channel: Channel) -> _Written:
    language = message_language(parcel.language, available_languages(renderer, parcel.facts.mode))
    make = sms_form if channel is Channel.SMS else email_form
    return _Written(make(renderer, parcel.facts, language), language)


def _address(parcel: Parcel, written: _Written, channel: Channel) -> Outgoing:
    form = written.form
    message = Message(
        agency_id=parcel.agency_id,
        attempt_id=parcel.claimed.attempt_id,
        to=parcel.value,
        text=form.text.filled(parcel.code),
        subject=form.subject.filled(parcel.code),
        html=form.html.filled(parcel.code),
        language=written.language,
    )
    if channel is Channel.SMS:
        return Outgoing(parcel, message, message.text.encode())
    parts = {"subject": message.subject, "text": message.text, "html": message.html}
    return Outgoing(parcel, message, json.dumps(parts, ensure_ascii=False).encode())
