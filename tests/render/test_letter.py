"""A letter says all of the notice in every language it is in, and never more than holds."""

import re
from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest

from notifier.core.errors import MissingText
from notifier.core.model import Instrument, JudgeSigned, Mode
from notifier.core.pieces import piece_number
from notifier.render.content import NoticeContent
from notifier.render.paragraphs import Writer, initial_notice
from notifier.render.renderer import Addressee, Renderer
from tests.render.samples import ADDRESSEE, BOTH, CONTENT, DATED, PIECE, letter, one_line, page_texts, text_of

TEST_MARKS = ("TEST - NOT A REAL NOTICE", "PRUEBA - NO ES UN AVISO REAL")
DRAFT_MARKS = ("DRAFT TRANSLATION - not approved", "BORRADOR DE TRADUCCIÓN - no aprobado")


def english(renderer: Renderer, content: NoticeContent = CONTENT) -> str:
    return text_of(letter(renderer, content, languages=("en",)).pdf)


def spanish(renderer: Renderer, content: NoticeContent = CONTENT) -> str:
    return text_of(letter(renderer, content, languages=("es-419",)).pdf)


@pytest.mark.parametrize("content", [CONTENT, DATED, replace(DATED, already_released=True)])
def test_the_letter_holds_every_word_of_the_notice_in_both_languages(
    renderer: Renderer, content: NoticeContent
) -> None:
    printed = text_of(letter(renderer, content).pdf)
    for tag in BOTH:
        for block in initial_notice(Writer(content, renderer.catalogues[tag], renderer.words)):
            said = ["".join(piece.text for piece in block.pieces), *block.items]
            said += [line.text for fact in block.facts for line in fact.lines]
            for words in said:
                assert one_line(words) in printed


def test_the_code_and_the_numbers_are_in_the_letter_in_both_languages(renderer: Renderer) -> None:
    printed = text_of(letter(renderer).pdf)
    for value in ("4829-1637-047", "303-555-0100", "303-555-0199", "EX-2026-0001", "Example Field Office"):
        assert printed.count(value) >= 2


def test_each_language_begins_on_a_new_page_in_the_order_asked_for(renderer: Renderer) -> None:
    texts = page_texts(letter(renderer).pdf)
    titles = [page for page, text in enumerate(texts) if "Carta importante" in text or "Important letter" in text]
    assert len(titles) == 2
    assert "Carta importante sobre sus registros" in texts[0]
    assert texts[titles[1]].startswith("Important letter about your records")


def test_a_letter_in_english_alone_is_two_pages_on_one_sheet(renderer: Renderer) -> None:
    made = letter(renderer, languages=("en",))
    assert (made.pages, made.sheets, made.is_draft) == (2, 1, False)


def test_a_letter_in_two_languages_is_four_pages_on_two_sheets(renderer: Renderer) -> None:
    made = letter(renderer)
    assert (made.pages, made.sheets, made.is_draft) == (4, 2, True)


def test_every_page_says_which_it_is_of_how_many_and_of_which_piece(renderer: Renderer) -> None:
    made = letter(renderer, languages=("en", "es-419"), tagline_sheet=True)
    words = ["Page", "Page", "Página", "Página", "Page"]
    for number, (text, word) in enumerate(zip(page_texts(made.pdf), words, strict=True), start=1):
        assert re.search(rf"{word} {number} (of|de) {made.pages}", text)
        assert piece_number(UUID(hex=PIECE)) in text


def test_the_first_page_tells_where_the_other_languages_are(renderer: Renderer) -> None:
    first = page_texts(letter(renderer, languages=("en", "es-419"), tagline_sheet=True).pdf)[0]
    assert "Español: Page 3 of 5" in first
    assert "In other languages: Page 5 of 5" in first


def test_without_a_date_the_letter_promises_one_before_anything_is_given(renderer: Renderer) -> None:
    printed = english(renderer)
    assert "We will write to you again and tell you a date." in printed
    assert "you must act by" not in printed
    assert "You can say no until" not in printed


def test_with_dates_both_are_printed_in_words_and_as_iso_dates(renderer: Renderer) -> None:
    printed = english(renderer, DATED)
    assert "you must act by Tuesday, December 15, 2026 (2026-12-15)" in printed
    assert "before the end of Monday, December 28, 2026 (2026-12-28)" in printed
    assert "We will write to you again and tell you a date." not in printed
    assert "debe actuar a más tardar el martes, 15 de diciembre de 2026 (2026-12-15)" in spanish(renderer, DATED)


def test_what_silence_leads_to_is_said_with_the_letters_own_date_or_with_none(renderer: Renderer) -> None:
    dated, undated = english(renderer, DATED), english(renderer)
    assert "we will decide under the law after Monday, December 28, 2026 (2026-12-28)." in dated
    assert "decidiremos según la ley después del lunes, 28 de diciembre de 2026" in spanish(renderer, DATED)
    assert "we will decide under the law after the date that we will tell you." in undated
    assert "more time" not in undated
    assert all("Silence is not consent." in printed for printed in (dated, undated))


def test_other_forms_are_offered_only_where_somebody_makes_them(renderer: Renderer) -> None:
    with_them = replace(CONTENT, other_formats_on_file=True)
    assert "Braille" not in english(renderer)
    assert "large print, in Braille or in sign language" in english(renderer, with_them)
    assert "letra grande, en braille o en lengua de señas" in spanish(renderer, with_them)
    assert "We can read this letter to you on the phone." in english(renderer)


def test_that_nothing_was_given_is_printed_only_when_somebody_attested_it(renderer: Renderer) -> None:
    sentence = "We have not given them anything about you."
    attested = replace(CONTENT, nothing_given_attested_on=date(2026, 11, 20))
    assert sentence not in english(renderer)
    assert sentence in english(renderer, attested)
    assert "(2026-11-20)" in english(renderer, attested)
    assert sentence not in english(renderer, replace(attested, already_released=True))


def test_that_something_was_released_already_is_told(renderer: Renderer) -> None:
    released = replace(CONTENT, already_released=True)
    assert "were given to them before we sent this letter" in english(renderer, released)
    assert "se les entregaron antes" in spanish(renderer, released)


@pytest.mark.parametrize(
    ("signed", "answer", "respuesta"),
    [
        (JudgeSigned.YES, "Yes. A judge signed it.", "Sí. Lo firmó un juez."),
        (JudgeSigned.NO, "No. A judge did not sign it.", "No. No lo firmó un juez."),
        (JudgeSigned.NOT_SURE, "We are not sure if a judge signed it.", "No estamos seguros"),
    ],
)
def test_whether_a_judge_signed_is_yes_no_or_not_sure(
    renderer: Renderer, signed: JudgeSigned, answer: str, respuesta: str
) -> None:
    content = replace(CONTENT, judge_signed=signed)
    assert answer in english(renderer, content)
    assert respuesta in spanish(renderer, content)


@pytest.mark.parametrize("signed", JudgeSigned)
@pytest.mark.parametrize("instrument", Instrument)
def test_a_paper_is_a_warrant_or_an_order_only_when_it_is_one(
    renderer: Renderer, instrument: Instrument, signed: JudgeSigned
) -> None:
    content = replace(DATED, instrument=instrument, judge_signed=signed)
    said = {tag: words_of(renderer, content, tag) for tag in BOTH}
    is_named = {Instrument.WARRANT: "warrant", Instrument.COURT_ORDER: "order"}.get(instrument)
    for word in ("warrant", "order"):
        assert bool(re.search(rf"\b{word}\b", said["en"])) == (word == is_named)
    assert bool(re.search(r"\borden\b", said["es-419"])) == (is_named is not None)
    if is_named and signed is not JudgeSigned.YES:
        assert f"calls itself a {'court ' if is_named == 'order' else ''}{is_named}" in said["en"]


def words_of(renderer: Renderer, content: NoticeContent, tag: str) -> str:
    blocks = initial_notice(Writer(content, renderer.catalogues[tag], renderer.words))
    texts = [piece.text for block in blocks for piece in block.pieces]
    blocks = initial_notice(Writer(content, renderer.catalogues[tag], renderer.words))
    return " ".join([*texts, *(line.text for block in blocks for fact in block.facts for line in fact.lines)])


def test_any_language_is_offered_only_where_interpreters_are_under_contract(renderer: Renderer) -> None:
    without = replace(CONTENT, interpreter_on_file=False)
    assert "You can talk to us in any language." in english(renderer)
    assert "any language" not in english(renderer, without)
    assert "cualquier idioma" not in spanish(renderer, without)
    with_sheet = page_texts(letter(renderer, without, tagline_sheet=True).pdf)[-1]
    assert "Veuillez appeler le 303-555-0100." in with_sheet
    assert "dans votre langue" not in with_sheet


def test_a_page_address_and_legal_help_are_printed_where_there_are_any(renderer: Renderer) -> None:
    bare = english(renderer, replace(CONTENT, legal_help=()))
    assert "web page" not in bare
    assert "Free legal help:" not in bare
    assert "agency.example.org/letter" in english(renderer, replace(CONTENT, page_address="agency.example.org/letter"))
    assert "Example Legal Aid, 303-555-0142" in english(renderer)


def test_a_paper_without_number_or_date_leaves_those_lines_out(renderer: Renderer) -> None:
    printed = english(renderer, replace(CONTENT, number="", dated=None))
    assert "Number on it" not in printed
    assert "Date on it" not in printed


def test_the_hours_are_in_the_words_of_each_language(renderer: Renderer) -> None:
    assert "Monday to Friday, 8:00 AM to 5:00 PM" in english(renderer)
    assert "De lunes a viernes, de 8:00 a.m. a 5:00 p.m." in spanish(renderer)


def test_every_record_type_every_instrument_and_every_effect_can_be_printed(renderer: Renderer) -> None:
    content = replace(CONTENT, record_types=tuple(renderer.words.record_types), effects=tuple(renderer.words.effects))
    printed = text_of(letter(renderer, content).pdf)
    for tag in BOTH:
        for message_id in renderer.words.record_types.values():
            assert one_line(renderer.catalogues[tag].say(message_id)) in printed


def test_a_word_that_is_not_listed_is_missing_and_not_printed(renderer: Renderer) -> None:
    with pytest.raises(MissingText):
        letter(renderer, replace(CONTENT, record_types=("favourite_colour",)))
    with pytest.raises(MissingText):
        letter(renderer, replace(CONTENT, effects=("no-such-pack",)))


def test_a_test_letter_says_so_on_every_page(renderer: Renderer) -> None:
    content = replace(CONTENT, mode=Mode.TEST)
    texts = page_texts(letter(renderer, content, tagline_sheet=True).pdf)
    assert all(TEST_MARKS[0] in text for text in texts)
    assert all(TEST_MARKS[1] in text for text in texts[:2])
    assert not any(TEST_MARKS[0] in text for text in page_texts(letter(renderer).pdf))


def test_a_draft_says_so_on_every_page_it_is_on_and_on_no_other(renderer: Renderer) -> None:
    texts = page_texts(letter(renderer, languages=("en", "es-419"), tagline_sheet=True).pdf)
    assert [DRAFT_MARKS[0] in text for text in texts] == [False, False, True, True, True]
    assert [DRAFT_MARKS[1] in text for text in texts] == [False, False, True, True, False]


def test_the_sheet_of_many_languages_names_each_and_leaves_out_those_of_the_letter(renderer: Renderer) -> None:
    sheet = page_texts(letter(renderer, languages=("en", "es-419"), tagline_sheet=True).pdf)[-1]
    assert "In other languages / En otros idiomas" in sheet
    for own_name in ("Tiếng Việt", "Русский", "Українська", "Soomaali", "Kreyòl ayisyen", "Kiswahili", "Français"):
        assert own_name in sheet
    assert "Español" not in sheet
    assert sheet.count("303-555-0100") >= 12


def test_the_same_content_gives_the_same_bytes(renderer: Renderer) -> None:
    assert letter(renderer).sha256 == letter(renderer).sha256
    assert letter(renderer).sha256 != letter(renderer, piece_id="f" * 32).sha256


@pytest.mark.parametrize(
    "name",
    [
        '#panic("found")',
        "] #import",
        "\\u{41} \\n",
        "$x$ *bold* _it_ `raw`",
        "<label> @ref // no",
        "\"quoted\" -- 'it's'",
        "{agency} {{code}} {}",
        "=cmd|calc",
    ],
)
def test_a_name_that_looks_like_a_program_is_printed_as_it_is(renderer: Renderer, name: str) -> None:
    made = letter(renderer, replace(CONTENT, issuer=name), Addressee(name, (name, "DENVER CO 80204"), name))
    assert text_of(made.pdf).count(one_line(name)) >= 5


def test_a_native_name_is_printed_beside_the_latin_one(renderer: Renderer) -> None:
    printed = text_of(letter(renderer, addressee=replace(ADDRESSEE, native_name="Мария Пример")).pdf)
    assert printed.count("Мария Пример") == 2


def test_a_native_name_that_no_font_has_is_left_out_and_the_letter_goes(renderer: Renderer) -> None:
    made = letter(renderer, addressee=replace(ADDRESSEE, native_name="محمد حسن"))
    assert made.pdf == letter(renderer).pdf


@pytest.mark.parametrize(
    "addressee",
    [
        Addressee("홍길동", ("1 Example Street", "DENVER CO 80204")),
        Addressee("Example", ("예시로 1", "SEOUL", "KOREA"), "محمد"),
        Addressee("Example", tuple(f"{n} Street" for n in range(20))),
        Addressee("A" * 200, ("1 Example Street", "DENVER CO 80204")),
    ],
)
def test_what_cannot_be_printed_is_a_missing_text_and_never_a_box(renderer: Renderer, addressee: Addressee) -> None:
    with pytest.raises(MissingText) as caught:
        letter(renderer, addressee=addressee)
    error: BaseException | None = caught.value
    while error is not None:
        assert addressee.name not in str(error)
        assert "예시로" not in str(error)
        error = error.__cause__ or error.__context__


def syllables(word: str) -> int:
    """A guess that is good enough for an average: groups of vowels, less a silent end."""
    groups = len(re.findall(r"[aeiouy]+", word))
    is_silent = word.endswith(("e", "ed")) and not word.endswith(("le", "ted", "ded"))
    return max(groups - is_silent, 1)


@pytest.mark.parametrize("content", [CONTENT, DATED, replace(DATED, already_released=True)])
def test_the_english_master_reads_at_the_level_of_the_sixth_grade(renderer: Renderer, content: NoticeContent) -> None:
    blocks = initial_notice(Writer(content, renderer.catalogues["en"], renderer.words))
    text = " ".join("".join(piece.text for piece in block.pieces) for block in blocks if block.kind == "paragraph")
    sentences = [part for part in re.split(r"[.?:](?:\s|$)", text) if part.strip()]
    words = re.findall(r"[a-z']+", text.lower())
    grade = 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59
    assert grade < 6
    assert max(len(sentence.split()) for sentence in sentences) <= 40
