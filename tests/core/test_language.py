"""A tag means one language: nobody is ever shown a neighbour's, and an unknown tag is refused with a suggestion."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.errors import SettingsError
from notifier.core.language import Direction, Languages, isolate, letter_languages, load, message_language

DOCUMENT = tomllib.loads((Path(__file__).parents[2] / "config" / "languages.toml").read_text(encoding="utf-8"))

# The tags of the design's table of languages, and of English.
TABLE = """
en es-419 vi am ti ar ru uk zh-Hans zh-Hant yue-Hant ne hi so om ko fr pt-BR ht sw rw ln my ksw eky rhg rhg-Latn fa-AF
fa ps pa-Guru pa-Arab ur fil bn th km lo hmn mww-Latn ka hy tr uz mn ckb ku quc mam kjb kek cak ixl cac knj jac acr agu
qu ay gn ase
"""


@pytest.fixture(scope="module")
def languages() -> Languages:
    return load(DOCUMENT)


def test_every_language_of_the_table_is_declared(languages: Languages) -> None:
    assert not set(TABLE.split()) - languages.by_tag.keys()


def test_the_groups_of_languages_are_not_declared(languages: Languages) -> None:
    assert not {"zh", "pa", "nah", "zap", "mix", "und", "mul"} & languages.names.keys()


@pytest.mark.parametrize(
    ("asked", "tag"),
    [
        ("es", "es-419"),
        ("es-US", "es-419"),
        ("es-MX", "es-419"),
        ("prs", "fa-AF"),
        ("tl", "fil"),
        ("swc", "sw-CD"),
        ("ES-us", "es-419"),
        ("zh-tw", "zh-Hant"),
        ("uk", "uk"),
    ],
)
def test_a_tag_or_a_declared_alias_is_resolved_in_any_case(languages: Languages, asked: str, tag: str) -> None:
    found = languages.resolve(asked)
    assert found is not None
    assert found.tag == tag


@pytest.mark.parametrize("tag", ["ht", "uk", "ckb", "rhg", "so", "om", "sw-CD", "fa-AF", "pa-Arab"])
def test_a_language_is_itself_and_never_its_neighbour(languages: Languages, tag: str) -> None:
    found = languages.resolve(tag)
    assert found is not None
    assert found.tag == tag


@pytest.mark.parametrize(
    "tag", ["", "zh", "pt", "pa", "es-ES", "es_MX", "fr-HT", "ht-HT", "uk-UA", "ku-Arab", "nah", "mix", "xx", "English"]
)
def test_what_is_not_declared_is_not_guessed(languages: Languages, tag: str) -> None:
    assert languages.resolve(tag) is None


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("es-ES", "es-419"),
        ("es_MX", "es-419"),
        ("spa", "es-419"),
        ("Spanish", "es-419"),
        ("español", "es-419"),
        ("ukr", "uk"),
        ("ht-HT", "ht"),
        ("pt", "pt-BR"),
        ("zh", "zh-Hans"),
        ("Tagalog", "fil"),
        ("Farsi", "fa"),
        ("vietnamse", "vi"),
        ("xx", None),
        ("", None),
        ("klingon", None),
    ],
)
def test_the_nearest_declared_language_is_suggested_to_a_human(
    languages: Languages, asked: str, nearest: str | None
) -> None:
    assert languages.suggest(asked) == nearest


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=20))
def test_whatever_is_asked_a_suggestion_is_a_declared_tag_or_none(asked: str) -> None:
    declared = load(DOCUMENT)
    suggestion = declared.suggest(asked)
    assert suggestion is None or suggestion in declared.by_tag


def test_who_reads_english_gets_english_alone() -> None:
    chosen = letter_languages("en", {"en", "es-419"})
    assert (chosen.languages, chosen.tagline_sheet) == (("en",), False)


def test_the_own_language_comes_first_and_english_after_it() -> None:
    chosen = letter_languages("es-419", {"en", "es-419"})
    assert (chosen.languages, chosen.tagline_sheet) == (("es-419", "en"), False)


@pytest.mark.parametrize("tag", [None, "am", "ase"])
def test_an_unknown_or_textless_language_gets_english_spanish_and_the_sheet(tag: str | None) -> None:
    chosen = letter_languages(tag, {"en", "es-419"})
    assert (chosen.languages, chosen.tagline_sheet) == (("en", "es-419"), True)


def test_spanish_is_only_added_where_it_may_be_sent() -> None:
    chosen = letter_languages("es-419", {"en"})
    assert (chosen.languages, chosen.tagline_sheet) == (("en",), True)


@pytest.mark.parametrize(
    ("tag", "sent"), [(None, "en"), ("en", "en"), ("es-419", "es-419"), ("ht", "en"), ("uk", "en")]
)
def test_a_message_is_in_the_own_language_or_in_english_never_in_a_neighbours(tag: str | None, sent: str) -> None:
    assert message_language(tag, {"en", "es-419", "fr", "ru"}) == sent


def test_an_isolate_is_opened_and_closed() -> None:
    assert isolate("303-555-0100", Direction.LTR) == "\u2066303-555-0100\u2069"
    assert isolate("x", Direction.RTL) == "\u2067x\u2069"
    assert isolate("x") == "\u2068x\u2069"


def test_every_tagline_says_the_number_and_a_signed_language_is_not_written(languages: Languages) -> None:
    taglines = [language.tagline for language in languages.by_tag.values() if language.tagline is not None]
    assert len(taglines) >= 12
    assert all("{phone}" in line.help and "{phone}" in line.call and "{" not in line.letter for line in taglines)
    assert [language.tag for language in languages.by_tag.values() if not language.is_written] == ["ase"]


def test_everything_wrong_with_the_file_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            {
                "xx": {"name": "", "direction": "up", "sms": "morse", "aliases": "yy", "colour": 1},
                "yy": 3,
                "zz": DOCUMENT["es-419"] | {"tagline": {"letter": "a", "help": "b", "call": "c"}},
                "qq": DOCUMENT["es-419"] | {"tagline": {"letter": "a"}},
            }
        )
    told = "\n".join(caught.value.problems)
    for problem in (
        "[xx] has no name",
        "[xx] direction",
        "[xx] sms",
        "[xx] aliases",
        "[xx] is no table or holds",
        "[yy] is",
    ):
        assert problem in told
    for problem in (
        "declared twice",
        "[en] is missing",
        "[zz.tagline] does not say {phone}",
        "[qq.tagline] needs exactly",
    ):
        assert problem in told
