"""Messages written for many people at once: everybody gets their own, and one that cannot be written delays nobody."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from notifier.core.codes import from_digits
from notifier.core.language import ENGLISH
from notifier.core.model import Channel, Mode
from notifier.core.status import Reason
from notifier.render.renderer import Renderer, build_renderer
from notifier.store.attempts import Claimed
from notifier.store.vault import Cipher
from notifier.usecases.compose import Parcel
from notifier.usecases.writing import write
from tests.render.samples import CONTENT

ROOT = Path(__file__).parents[2]
FACTS = replace(CONTENT, mode=Mode.TEST, code="")


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    fonts = ROOT / "node_modules" / "@expo-google-fonts" / "noto-sans"
    return build_renderer(config_dir=ROOT / "config", template_dir=ROOT / "templates", font_dirs=[fonts])


def parcel(number: int, *, matter: int = 1, language: str | None = "en", agency: str = "Example Agency") -> Parcel:
    claimed = Claimed(uuid4(), UUID(int=matter), uuid4(), uuid4(), uuid4(), 1)
    return Parcel(
        agency_id=UUID(int=7),
        claimed=claimed,
        cipher=Cipher(claimed.person_id, bytes(32)),
        facts=replace(FACTS, agency_name=agency),
        code=from_digits(f"{number:010d}"),
        name="Sample Person",
        native_name=None,
        language=language,
        value=f"person{number}@example.org",
        address=None,
    )


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.EMAIL])
def test_everybody_gets_what_would_be_written_for_them_alone(renderer: Renderer, channel: Channel) -> None:
    parcels = [
        parcel(4 * number + matter, matter=matter, language=language, agency=f"Agency {matter} <&>")
        for number, language in enumerate(["en", "es-419", "es-419", None, "en", "ht"])
        for matter in range(3)
    ]
    written, unwritten = write(parcels, renderer=renderer, channel=channel)
    assert unwritten == []
    for each, outgoing in zip(parcels, written, strict=True):
        message = outgoing.message
        assert (message.attempt_id, message.to) == (each.claimed.attempt_id, each.value)
        spanish = each.language in {"es", "es-419"}
        assert message.language == ("es-419" if spanish else ENGLISH)
        if channel is Channel.SMS:
            alone = renderer.sms(each.content, message.language).text
            assert (message.text, outgoing.text.decode(), message.html) == (alone, alone, "")
        else:
            mail = renderer.email(each.content, message.language)
            said = {"subject": mail.subject, "text": mail.text, "html": mail.html}
            assert {"subject": message.subject, "text": message.text, "html": message.html} == said
            assert json.loads(outgoing.text) == said


def test_one_that_cannot_be_written_keeps_nobody_else_waiting(renderer: Renderer) -> None:
    parcels = [parcel(1), replace(parcel(2), code="damaged"), parcel(3)]
    written, unwritten = write(parcels, renderer=renderer, channel=Channel.EMAIL)
    assert [outgoing.parcel for outgoing in written] == [parcels[0], parcels[2]]
    assert [(item.claimed, item.reason) for item in unwritten] == [(parcels[1].claimed, Reason.UNREADABLE)]


def test_without_a_text_nobody_is_written_to(renderer: Renderer) -> None:
    english = renderer.catalogues[ENGLISH]
    unusable = replace(english, unusable=english.unusable | {"sms.notice"})
    silent = replace(renderer, catalogues={**renderer.catalogues, ENGLISH: unusable})
    parcels = [parcel(1), parcel(2)]
    written, unwritten = write(parcels, renderer=silent, channel=Channel.SMS)
    assert written == []
    assert [item.reason for item in unwritten] == [Reason.NO_TEXT] * 2


def test_nothing_of_a_person_shows_when_what_is_written_is_printed(renderer: Renderer) -> None:
    written, _ = write([parcel(4242424242)], renderer=renderer, channel=Channel.SMS)
    shown = repr(written)
    for secret in ("4242", "person4242424242", "Sample Person"):
        assert secret not in shown
