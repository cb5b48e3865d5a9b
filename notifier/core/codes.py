"""The code of a person: ten random digits and a check digit, made to be read aloud through an interpreter.

The check digit is ISO/IEC 7064 MOD 11,10: it finds every single wrong digit and almost every swap of two neighbours.
A code is kept as its eleven digits and shown as `4829-1637-042`.
"""

import unicodedata

DIGITS = 10
LENGTH = DIGITS + 1
ENOUGH_RANDOM_BYTES = 16  # so that reducing them to ten digits favours none by more than 1 in 10^28


def new_code(random_bytes: bytes) -> str:
    """A code from at least 16 bytes of cryptographic randomness.

    Raises:
        ValueError: too few bytes.
    """
    if len(random_bytes) < ENOUGH_RANDOM_BYTES:
        raise ValueError(f"a code needs {ENOUGH_RANDOM_BYTES} random bytes")
    return from_digits(f"{int.from_bytes(random_bytes) % 10**DIGITS:0{DIGITS}d}")


def from_digits(digits: str) -> str:
    """The code made of ten ASCII digits.

    Raises:
        ValueError: not ten digits.
    """
    if len(digits) != DIGITS or not _all_ascii_digits(digits):
        raise ValueError(f"a code is made of {DIGITS} digits")
    return digits + check_digit(digits)


def check_digit(digits: str) -> str:
    """The ISO/IEC 7064 MOD 11,10 check digit of ASCII digits."""
    product = 10
    for digit in digits:
        total = (product + int(digit)) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


def format_code(code: str) -> str:
    """The code as people see it, in groups of four, four and three."""
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def parse_code(text: str) -> str | None:
    """The eleven digits of what somebody typed or read out, or None when it is no code.

    Spaces, dashes of any script and invisible marks are ignored; digits of any script count.
    """
    digits = []
    for character in text:
        value = unicodedata.decimal(character, None)
        if value is not None:
            digits.append(str(value))
        elif not _is_ignored(character):
            return None
    code = "".join(digits)
    return code if len(code) == LENGTH and code[-1] == check_digit(code[:-1]) else None


def _is_ignored(character: str) -> bool:
    # Zs spaces, Pd dashes, Cf invisible marks; U+2212 is the minus sign; tab and line ends come with pasting.
    return unicodedata.category(character) in {"Zs", "Pd", "Cf"} or character in "\t\r\n\u2212"


def _all_ascii_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
