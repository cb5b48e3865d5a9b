"""A text message is counted as the network counts it; Spanish accents and emoji are where others go wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.sms import GSM7_BASIC, GSM7_EXTENSION, Encoding, Segments, count, encoding_of

quick = settings(deadline=None, max_examples=300)
gsm7_texts = st.text(st.sampled_from(sorted(GSM7_BASIC | GSM7_EXTENSION)), max_size=700)
any_texts = st.text(max_size=300) | st.text(st.sampled_from("aé€😀ñ"), max_size=700)

ESCAPE = "\x1b"


def counted_slowly(text: str) -> Segments:
    """Lay the units out one by one, as strings of septets or of UTF-16 code units, and cut them as a handset does."""
    if all(character in GSM7_BASIC | GSM7_EXTENSION for character in text):
        encoding, limit, part = Encoding.GSM7, 160, 153
        letters = [ESCAPE + character if character in GSM7_EXTENSION else character for character in text]
    else:
        encoding, limit, part = Encoding.UCS2, 70, 67
        letters = ["x" * (len(character.encode("utf-16-be")) // 2) for character in text]
    whole = "".join(letters)
    if len(whole) <= limit:
        return Segments(encoding, len(whole), 1 if whole else 0)
    parts = [""]
    for letter in letters:
        if len(parts[-1] + letter) > part:
            parts.append("")
        parts[-1] += letter
    assert "".join(parts) == whole
    return Segments(encoding, len(whole), len(parts))


@quick
@given(gsm7_texts | any_texts)
def test_counting_agrees_with_cutting_the_message_up_by_hand(text: str) -> None:
    assert count(text) == counted_slowly(text)


def test_the_alphabet_has_its_127_letters_beside_the_escape_and_nine_extensions_and_the_page_break() -> None:
    assert len(GSM7_BASIC) == 127
    assert len(GSM7_EXTENSION) == 10
    assert not GSM7_BASIC & GSM7_EXTENSION


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [
        ("", 0, 0),
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("a" * 306, 306, 2),
        ("a" * 307, 307, 3),
        ("a" * 1600, 1600, 11),
    ],
)
def test_gsm7_holds_160_and_then_153_in_each_part(text: str, units: int, segments: int) -> None:
    assert count(text) == Segments(Encoding.GSM7, units, segments)


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [("ó" * 70, 70, 1), ("ó" * 71, 71, 2), ("ó" * 134, 134, 2), ("ó" * 135, 135, 3), ("ó" * 1600, 1600, 24)],
)
def test_ucs2_holds_70_and_then_67_in_each_part(text: str, units: int, segments: int) -> None:
    assert count(text) == Segments(Encoding.UCS2, units, segments)


def test_an_extension_character_takes_two_and_is_not_split_between_parts() -> None:
    assert count("{" * 80) == Segments(Encoding.GSM7, 160, 1)
    assert count("a" * 152 + "€" + "a" * 152).segments == 3
    assert count("a" * 151 + "€" + "a" * 153).segments == 2


def test_a_surrogate_pair_takes_two_and_is_not_split_between_parts() -> None:
    assert count("😀" * 35) == Segments(Encoding.UCS2, 70, 1)
    assert count("ó" * 66 + "😀" + "ó" * 66).segments == 3


@pytest.mark.parametrize("letter", "áíóúÁÍÓÚêâçõœ’–")
def test_these_letters_make_the_whole_message_ucs2(letter: str) -> None:
    assert encoding_of(f"plain text {letter}") is Encoding.UCS2


@pytest.mark.parametrize("letter", "éñü¿¡àèìòùÇ€")
def test_these_letters_stay_in_gsm7(letter: str) -> None:
    assert encoding_of(f"plain text {letter}") is Encoding.GSM7
