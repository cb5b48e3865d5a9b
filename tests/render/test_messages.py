"""A text message or email may be seen by anybody: it names the agency, its number and the code, and nothing else."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from notifier.core.errors import MissingText
from notifier.core.model import Mode
from notifier.core.sms import Encoding
from notifier.render.renderer import Renderer
from tests.render.samples import ADDRESSEE, CONTENT, DATED

TAGS = ["en", "es-419"]
FULL = replace(DATED, page_address="agency.example.org/letter", already_released=True)
TELLING = re.compile(
    r"https?:|www\.|://|\.org|\.com|subpoena|requerimiento|immigra|inmigra|migra|court|tribunal|judge|juez|federal|name",
    re.IGNORECASE,
)


def everything(renderer: Renderer, tag: str) -> list[str]:
    mail = renderer.email(FULL, tag)
    return [renderer.sms(FULL, tag).text, mail.subject, mail.text]


@pytest.mark.parametrize("tag", TAGS)
def test_a_message_says_who_what_to_call_and_the_code(renderer: Renderer, tag: str) -> None:
    mail = renderer.email(FULL, tag)
    for text in (renderer.sms(FULL, tag).text, mail.text, mail.html):
        assert "Denver Agency" in text
        assert "303-555-0100" in text
        assert "4829-1637-047" in text
    assert "Denver Agency" in mail.subject


@pytest.mark.parametrize("tag", TAGS)
def test_a_message_holds_no_link_no_name_and_nothing_of_the_matter(renderer: Renderer, tag: str) -> None:
    for text in everything(renderer, tag):
        assert not TELLING.search(text)
        for secret in (*ADDRESSEE.name.split(), FULL.issuer, FULL.number, FULL.main_phone, "2026"):
            assert secret not in text


@pytest.mark.parametrize("tag", TAGS)
def test_what_is_asked_for_changes_nothing_in_a_message(renderer: Renderer, tag: str) -> None:
    assert renderer.sms(FULL, tag) == renderer.sms(CONTENT, tag)
    assert renderer.email(FULL, tag) == renderer.email(CONTENT, tag)


def test_the_english_text_message_is_one_segment(renderer: Renderer) -> None:
    segments = renderer.sms(CONTENT, "en").segments
    assert (segments.encoding, segments.segments) == (Encoding.GSM7, 1)


@pytest.mark.parametrize("tag", TAGS)
def test_a_text_message_is_at_most_two_segments_even_for_an_agency_with_a_long_name(
    renderer: Renderer, tag: str
) -> None:
    long_name = replace(CONTENT, agency_name="Example State Department of Labor, Employment and Training")
    for content in (CONTENT, long_name):
        segments = renderer.sms(content, tag).segments
        assert segments.encoding is Encoding.GSM7
        assert segments.segments <= 2


@pytest.mark.parametrize("tag", TAGS)
def test_a_text_message_is_one_line(renderer: Renderer, tag: str) -> None:
    sent = replace(CONTENT, agency_name="Denver\r\nAgency ")
    assert "\n" not in renderer.sms(sent, tag).text
    assert "\n" not in renderer.email(sent, tag).subject
    assert renderer.sms(sent, tag) == renderer.sms(CONTENT, tag)


class Page(HTMLParser):
    """What an HTML email is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.extend(data.split())


@pytest.mark.parametrize("tag", TAGS)
def test_the_html_has_nothing_to_load_to_click_or_to_run(renderer: Renderer, tag: str) -> None:
    page = Page(renderer.email(FULL, tag).html)
    assert {name for name, _ in page.tags} <= {
        *("html", "head", "meta", "title", "body", "table", "tr", "td", "p", "strong"),
    }
    assert not any({"href", "src", "background", "onload"} & attributes.keys() for _, attributes in page.tags)
    assert "url(" not in renderer.email(FULL, tag).html


@pytest.mark.parametrize("tag", TAGS)
def test_the_html_says_its_language_and_what_the_text_says(renderer: Renderer, tag: str) -> None:
    mail = renderer.email(FULL, tag)
    page = Page(mail.html)
    attributes = dict(page.tags)
    assert attributes["html"] == {"lang": tag, "dir": "ltr"}
    assert attributes["body"]["lang"] == tag
    assert attributes["table"]["role"] == "presentation"
    assert " ".join(page.words) == f"{mail.subject} {' '.join(mail.text.split())}"


def test_a_name_with_markup_stays_text(renderer: Renderer) -> None:
    mail = renderer.email(replace(CONTENT, agency_name='<i onclick="x">Agency</i> & Co {{ code }}'), "en")
    assert '<i onclick="x">Agency</i> & Co {{ code }}' in mail.text
    assert "<i" not in mail.html
    assert "&lt;i" in mail.html


def test_a_test_email_says_so_in_both_languages_and_a_live_one_does_not(renderer: Renderer) -> None:
    test = renderer.email(replace(CONTENT, mode=Mode.TEST), "es-419")
    for text in (test.text, test.html):
        assert "TEST - NOT A REAL NOTICE" in text
        assert "PRUEBA - NO ES UN AVISO REAL" in text
    assert "TEST" not in renderer.email(CONTENT, "en").text


def test_a_draft_email_says_so_and_every_draft_is_marked_for_the_caller(renderer: Renderer) -> None:
    assert "DRAFT TRANSLATION - not approved" in renderer.email(CONTENT, "es-419").text
    assert "DRAFT" not in renderer.email(CONTENT, "en").text
    assert renderer.sms(CONTENT, "es-419").is_draft
    assert not renderer.sms(CONTENT, "en").is_draft


def test_a_language_without_a_catalogue_is_missing_and_not_replaced(renderer: Renderer) -> None:
    with pytest.raises(MissingText):
        renderer.sms(CONTENT, "ht")


def test_the_hash_is_of_exactly_what_is_sent(renderer: Renderer) -> None:
    first, second = renderer.email(CONTENT, "en"), renderer.email(replace(CONTENT, code="48291637055"), "en")
    assert first.sha256 == renderer.email(CONTENT, "en").sha256
    assert len({first.sha256, second.sha256, renderer.sms(CONTENT, "en").sha256}) == 3


def test_nothing_personal_shows_when_an_object_is_printed(renderer: Renderer) -> None:
    shown = f"{CONTENT!r} {renderer.sms(CONTENT, 'en')!r} {renderer.email(CONTENT, 'en')!r} {ADDRESSEE!r}"
    for secret in ("48291637047", "4829-1637-047", CONTENT.issuer, CONTENT.number, "home_address", "María", "80204"):
        assert secret not in shown
