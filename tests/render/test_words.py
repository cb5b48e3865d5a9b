"""What a letter can name is listed, complete, and said in every language; anything else is refused."""

import tomllib

import pytest

from notifier.core.errors import SettingsError
from notifier.core.model import Instrument, JudgeSigned
from notifier.render.renderer import Renderer
from notifier.render.words import load
from tests.render.samples import ROOT

DOCUMENT = tomllib.loads((ROOT / "config" / "record_types.toml").read_text(encoding="utf-8"))


def test_there_are_about_thirty_record_types_and_other(renderer: Renderer) -> None:
    assert 25 <= len(renderer.words.record_types) <= 40
    assert renderer.words.record_type_known("wages")
    assert renderer.words.record_type_known("other")
    assert not renderer.words.record_type_known("favourite_colour")
    assert not renderer.words.record_type_known("")


def test_every_paper_and_every_answer_about_the_judge_has_words(renderer: Renderer) -> None:
    for instrument in Instrument:
        for signed in JudgeSigned:
            assert renderer.catalogues["en"].say(renderer.words.instrument(instrument, signed))
            assert renderer.catalogues["en"].say(renderer.words.judge_signed[signed])


def test_a_paper_is_called_by_its_name_only_when_a_judge_signed_it(renderer: Renderer) -> None:
    words = renderer.words
    assert words.instrument(Instrument.WARRANT, JudgeSigned.YES) == "instrument.warrant"
    assert words.instrument(Instrument.WARRANT, JudgeSigned.NO) == "instrument.warrant.unsigned"
    assert words.instrument(Instrument.WARRANT, JudgeSigned.NOT_SURE) == "instrument.warrant.unsigned"
    assert words.instrument(Instrument.SUMMONS, JudgeSigned.NO) == "instrument.summons"


def test_everything_wrong_with_the_file_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            {
                "record_types": {"wages": ""},
                "instruments": {"warrant": {"text": 3, "colour": "x"}, "napkin": "x"},
                "judge_signed": {"yes": "judge.yes"},
                "extra": {},
            }
        )
    told = "\n".join(caught.value.problems)
    for problem in (
        "exactly the tables",
        "[effects] is no table",
        "needs other",
        "exactly the kinds of papers",
        "exactly yes, no, not_sure",
        "wages names no message",
        "warrant needs text",
        "napkin needs text",
    ):
        assert problem in told


def test_the_file_in_this_repository_is_whole() -> None:
    assert load(DOCUMENT).effects["co-agency-default"] == "effect.co-agency-default"
