"""A text is right or it is missing: nothing is ever printed in place of a translation."""

import ast
import re
import shutil
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from notifier.core.errors import MissingText, SettingsError
from notifier.core.language import Languages
from notifier.render.catalogue import CATALOGUE, Status, StrictCatalogue, edition, load, placeholders
from notifier.render.renderer import Renderer
from tests.render.samples import LOCALE_DIR, ROOT

ID = re.compile(r"(?:mark|sms|email|hours|letter|judge|sheet)\.[a-z_.]+")
SAID = re.compile(r'say\("([^"]+)"')


@pytest.fixture
def languages(renderer: Renderer) -> Languages:
    return renderer.languages


@pytest.fixture
def locale_dir(tmp_path: Path) -> Path:
    shutil.copytree(LOCALE_DIR, tmp_path / "locale")
    return tmp_path / "locale"


def change(locale_dir: Path, tag: str, old: str, new: str) -> None:
    path = locale_dir / tag / CATALOGUE
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def spanish(locale_dir: Path, languages: Languages) -> StrictCatalogue:
    return load(locale_dir, languages)["es-419"]


def used_ids(renderer: Renderer) -> set[str]:
    """Every message id that the code, the templates and the word lists name."""
    found = set(renderer.words.message_ids())
    for path in (ROOT / "notifier" / "render").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        found |= {value for value in constants if isinstance(value, str) and ID.fullmatch(value)}
    for room in ("sms", "email"):
        for path in (ROOT / "templates" / room).iterdir():
            found |= set(SAID.findall(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("tag", ["en", "es-419"])
def test_every_catalogue_has_exactly_the_messages_that_are_used(renderer: Renderer, tag: str) -> None:
    with (LOCALE_DIR / tag / CATALOGUE).open("rb") as file:
        ids = {message.context for message in read_po(file) if message.id}
    assert ids == used_ids(renderer)


def test_every_language_in_the_folder_is_complete(renderer: Renderer) -> None:
    assert renderer.available_languages() == {"en", "es-419"}


def test_the_english_master_says_what_its_ids_say() -> None:
    with (LOCALE_DIR / "en" / CATALOGUE).open("rb") as file:
        assert [message.context for message in read_po(file) if message.id != message.string and message.id] == []


def test_spanish_is_marked_as_an_unreviewed_draft(renderer: Renderer) -> None:
    assert renderer.catalogues["en"].status is Status.MASTER
    assert renderer.catalogues["es-419"].is_draft
    assert "unreviewed" in renderer.catalogues["es-419"].origin


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('msgstr "Carta importante sobre sus registros"', 'msgstr ""', id="empty"),
        pytest.param('msgctxt "letter.title"', '#, fuzzy\nmsgctxt "letter.title"', id="fuzzy"),
        pytest.param('msgid "Important letter about your records"', 'msgid "Letter about your records"', id="stale"),
        pytest.param('msgctxt "letter.title"', 'msgctxt "letter.heading"', id="missing"),
        pytest.param(
            "Carta importante sobre sus registros", "Carta {agency} sobre sus registros", id="other-placeholder"
        ),
        pytest.param(
            "Carta importante sobre sus registros", "Carta importante sobre {sus registros", id="broken-braces"
        ),
    ],
)
def test_a_message_that_is_not_valid_is_never_said(locale_dir: Path, languages: Languages, old: str, new: str) -> None:
    change(locale_dir, "es-419", old, new)
    catalogue = spanish(locale_dir, languages)
    assert catalogue.unusable == {"letter.title"}
    with pytest.raises(MissingText) as caught:
        catalogue.say("letter.title")
    assert caught.value.language == "es-419"


def test_one_changed_english_word_makes_its_translation_stale(locale_dir: Path, languages: Languages) -> None:
    change(locale_dir, "en", "You are not in trouble with us.", "You are not in any trouble with us.")
    assert spanish(locale_dir, languages).unusable == {"letter.not_a_bill"}


def test_a_message_that_nobody_wrote_is_missing(renderer: Renderer) -> None:
    with pytest.raises(MissingText):
        renderer.catalogues["en"].say("letter.nothing_of_the_kind")


def test_a_value_with_braces_is_printed_as_it_is(renderer: Renderer) -> None:
    said = renderer.catalogues["en"].say("email.letter", agency="{phone} {0} {{x}}")
    assert said == "{phone} {0} {{x}}: You have a letter about your records."


def test_a_changed_word_makes_another_edition(locale_dir: Path) -> None:
    before = edition(locale_dir)
    assert before == edition(LOCALE_DIR)
    change(locale_dir, "es-419", "Carta importante sobre sus registros", "Una carta importante sobre sus registros")
    after = edition(locale_dir)
    assert after.id != before.id
    assert after.languages["en"] == before.languages["en"]
    assert after.languages["es-419"] != before.languages["es-419"]


def test_a_new_comment_leaves_the_edition_as_it_is(locale_dir: Path) -> None:
    before = edition(locale_dir)
    change(locale_dir, "en", 'msgctxt "letter.title"', '#. A note to translators.\nmsgctxt "letter.title"')
    assert edition(locale_dir) == before


def test_the_renderer_knows_its_edition(renderer: Renderer) -> None:
    assert renderer.edition == edition(LOCALE_DIR)


def test_values_are_isolated_in_a_language_that_runs_from_right_to_left(locale_dir: Path, languages: Languages) -> None:
    shutil.copytree(locale_dir / "es-419", locale_dir / "ar")
    said = load(locale_dir, languages)["ar"].say("email.help", phone="303-555-0100", code="4829-1637-047")
    assert "\u2066303-555-0100\u2069" in said
    assert "\u20664829-1637-047\u2069" in said


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param('msgctxt "letter.title"\n', "", "without a context", id="no-id"),
        pytest.param(
            'msgctxt "letter.not_a_bill"', 'msgctxt "letter.title"', "without a context of its own", id="id-twice"
        ),
        pytest.param('"X-Status: draft\\n"\n', "", "X-Status", id="no-status"),
        pytest.param('"X-Status: draft\\n"', '"X-Status: approved\\n"', "X-Status", id="unknown-status"),
        pytest.param('msgctxt "letter.title"', "What is this?", "not a PO file", id="no-po"),
    ],
)
def test_a_catalogue_that_cannot_be_trusted_is_refused(
    locale_dir: Path, languages: Languages, old: str, new: str, problem: str
) -> None:
    change(locale_dir, "es-419", old, new)
    with pytest.raises(SettingsError, match=problem):
        load(locale_dir, languages)


def test_a_catalogue_of_an_undeclared_language_or_without_english_is_refused(
    locale_dir: Path, languages: Languages
) -> None:
    shutil.move(locale_dir / "en", locale_dir / "es-ES")
    with pytest.raises(SettingsError) as caught:
        load(locale_dir, languages)
    assert "templates/locale/es-ES: no such language in languages.toml" in caught.value.problems
    assert "templates/locale/en: the English master is missing" in caught.value.problems


def test_placeholders_are_plain_names_or_the_text_is_refused() -> None:
    assert placeholders("{a} and {b} and {a}") == frozenset({"a", "b"})
    assert placeholders("{a!r}") is None
    assert placeholders("{a:>10}") is None
    assert placeholders("{}") is None
    assert placeholders("{a.b}") is None
    assert placeholders("{") is None
