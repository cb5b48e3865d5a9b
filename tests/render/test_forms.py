"""A message made from a form is, byte for byte, the message rendered for that person alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.codes import from_digits
from notifier.core.errors import MissingText
from notifier.core.language import Direction
from notifier.core.model import Mode
from notifier.render.catalogue import Status
from notifier.render.forms import email_form, sms_form
from notifier.render.renderer import Renderer
from tests.render.samples import CONTENT

CODES = st.text("0123456789", min_size=10, max_size=10).map(from_digits)
# Whatever an agency may be called: markup, quotes, line ends, braces of both kinds, letters of any script.
NAMES = st.text(min_size=1, max_size=60) | st.sampled_from(
    ['<b>"A" & Co</b>', "{{ code }}", "{code}", " A\r\n'B' ", "א"]
)
TAGS = ("en", "es-419", "ar")


@pytest.fixture(scope="session")
def polyglot(renderer: Renderer) -> Renderer:
    """The renderer with a language written from right to left, whose texts stand in for a translation."""
    english = renderer.catalogues["en"]
    arabic = replace(english, language=renderer.languages.by_tag["ar"], status=Status.DRAFT)
    assert arabic.language.direction is Direction.RTL
    return replace(renderer, catalogues={**renderer.catalogues, "ar": arabic})


@given(
    codes=st.lists(CODES, min_size=1, max_size=3),
    name=NAMES,
    phone=st.text(max_size=20),
    mode=st.sampled_from(Mode),
    tag=st.sampled_from(TAGS),
)
def test_a_filled_form_is_what_rendering_each_gives(
    polyglot: Renderer, codes: list[str], name: str, phone: str, mode: Mode, tag: str
) -> None:
    content = replace(CONTENT, agency_name=name, help_phone=phone, mode=mode, code="")
    sms, mail = sms_form(polyglot, content, tag), email_form(polyglot, content, tag)
    for code in codes:
        own = replace(content, code=code)
        assert sms.text.filled(code) == polyglot.sms(own, tag).text
        alone = polyglot.email(own, tag)
        filled = (mail.subject.filled(code), mail.text.filled(code), mail.html.filled(code))
        assert filled == (alone.subject, alone.text, alone.html)


def test_a_text_message_has_no_subject_and_no_html(renderer: Renderer) -> None:
    form = sms_form(renderer, CONTENT, "en")
    assert (form.subject.filled(CONTENT.code), form.html.filled(CONTENT.code)) == ("", "")


@pytest.mark.parametrize("code", ["", "4829163704", "482916370471", "<b>91637047", "٤٨٢٩١٦٣٧٠٤٧", "4829-163704"])
def test_only_digits_go_into_a_form(renderer: Renderer, code: str) -> None:
    """Anything else would have to be escaped."""
    with pytest.raises(ValueError, match="11 digits") as caught:
        email_form(renderer, CONTENT, "en").html.filled(code)
    assert code == "" or code not in str(caught.value)


def test_a_form_holds_nobodys_code_and_prints_nothing(renderer: Renderer) -> None:
    form = email_form(renderer, CONTENT, "en")
    assert CONTENT.code[:4] not in "".join(form.html.pieces + form.text.pieces + form.subject.pieces)
    assert "Agency" not in repr(form)


def test_what_has_no_text_has_no_form(renderer: Renderer) -> None:
    for make in (sms_form, email_form):
        with pytest.raises(MissingText):
            make(renderer, CONTENT, "ht")
