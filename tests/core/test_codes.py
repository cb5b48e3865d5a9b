"""A code survives being typed, read out and mistyped: what is accepted is what was issued."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.codes import check_digit, format_code, from_digits, new_code, parse_code

quick = settings(deadline=None, max_examples=200)
codes = st.from_regex(r"[0-9]{10}", fullmatch=True).map(from_digits)


@pytest.mark.parametrize(
    ("digits", "check"),
    [("0794", "5"), ("8609574271", "9"), ("4829163704", "7")],
)
def test_the_check_digit_is_iso_7064_mod_11_10(digits: str, check: str) -> None:
    # 0794-5 is the example of the standard itself; 8609574271-9 is a published specimen of another user of it.
    assert check_digit(digits) == check


@quick
@given(codes)
def test_a_code_is_read_back_as_it_was_printed(code: str) -> None:
    assert parse_code(code) == code
    assert parse_code(format_code(code)) == code


@quick
@given(codes)
def test_every_single_wrong_digit_is_found(code: str) -> None:
    for place, digit in enumerate(code):
        for other in set("0123456789") - {digit}:
            assert parse_code(code[:place] + other + code[place + 1 :]) is None


def test_almost_every_swap_of_two_neighbours_is_found() -> None:
    swaps = missed = 0
    for seed in range(2000):
        code = from_digits(f"{seed * 4_829_163 % 10**10:010d}")
        for place in range(10):
            if code[place] == code[place + 1]:
                continue
            swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
            swaps += 1
            missed += parse_code(swapped) is not None
    assert swaps > 0
    assert missed / swaps < 0.03


@pytest.mark.parametrize(
    "text",
    [
        "4829-1637-047",
        " 4829 1637 047 ",
        "48291637047\n",
        "4829\u20131637\u2014047",
        "4829\u00a01637\u202f047",
        "4829\u22121637\u2212047",
        "\u200e4829-1637-047\u200f",
        "٤٨٢٩-١٦٣٧-٠٤٧",
        "४८२९ १६३७ ०४७",
        "\uff14\uff18\uff12\uff19\uff11\uff16\uff13\uff17\uff10\uff14\uff17",
    ],
)
def test_spaces_dashes_and_digits_of_any_script_are_understood(text: str) -> None:
    assert parse_code(text) == "48291637047"


@pytest.mark.parametrize(
    "text",
    ["", "4829-1637-04", "4829-1637-0477", "4829-1637-048", "4829-1637-04x", "4829/1637/047", "²829-1637-047", "code"],
)
def test_anything_else_is_no_code(text: str) -> None:
    assert parse_code(text) is None


@quick
@given(st.text(max_size=30))
def test_whatever_is_typed_gives_a_valid_code_or_none(text: str) -> None:
    code = parse_code(text)
    assert code is None or (len(code) == 11 and code == from_digits(code[:10]))


@quick
@given(st.binary(min_size=16, max_size=32))
def test_a_new_code_is_valid(random_bytes: bytes) -> None:
    assert parse_code(new_code(random_bytes)) is not None


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        new_code(b"\x00" * 15)


@pytest.mark.parametrize("digits", ["", "123", "12345678901", "12345٦7890", "12345x7890"])
def test_a_code_is_made_of_exactly_ten_ascii_digits(digits: str) -> None:
    with pytest.raises(ValueError, match="10 digits"):
        from_digits(digits)


def test_a_code_is_shown_in_groups() -> None:
    assert format_code("48291637047") == "4829-1637-047"
