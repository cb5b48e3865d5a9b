"""What no letter could show is refused when it is entered."""

from dataclasses import replace

import pytest

from notifier.core.errors import Invalid
from notifier.service import Service
from notifier.usecases.printable import require_printable_agency, require_printable_demand
from tests.installation import DEMAND, PROFILE

HANGUL, EMOJI = "\N{HANGUL SYLLABLE GIM}", "\N{ENVELOPE WITH LIGHTNING}\N{GRINNING FACE}"


@pytest.mark.parametrize(
    "text", ["Oficina de Ñandú", "Żółć", "Яков", "Αθήνα", "A & B <#1>", "e\N{COMBINING ACUTE ACCENT}"]
)
def test_whatever_the_font_has_is_printable(service: Service, text: str) -> None:
    require_printable_demand(replace(DEMAND, issuer=text, number=text), renderer=service.renderer)


@pytest.mark.parametrize("text", [HANGUL, EMOJI, f"Example {HANGUL} Office"])
def test_a_demand_that_no_letter_could_show_is_refused_where_it_is(service: Service, text: str) -> None:
    for demand, pointer in (
        (replace(DEMAND, issuer=text), "/demand/issuer"),
        (replace(DEMAND, number=text), "/demand/number"),
    ):
        with pytest.raises(Invalid, match="cannot-be-printed") as caught:
            require_printable_demand(demand, renderer=service.renderer)
        assert [finding.pointer for finding in caught.value.findings] == [pointer]
        assert text not in str(caught.value)


def test_an_agency_that_can_be_printed_is_taken(service: Service) -> None:
    require_printable_agency("Example Agency", PROFILE, renderer=service.renderer)


@pytest.mark.parametrize(
    ("name", "changed", "pointer", "code"),
    [
        (f"Agency {HANGUL}", {}, "/name", "no_glyph"),
        ("Agency", {"return_address": ("Agency", HANGUL)}, "/return_address/1", "no_glyph"),
        ("Agency", {"legal_help": ("Legal Aid", EMOJI)}, "/legal_help/1", "no_glyph"),
        ("Agency", {"return_address": ("W" * 60,) * 4}, "/return_address", "does_not_fit"),
        ("A" * 200, {}, "/name", "too_long"),
        ("Agencia de Bogot\N{LATIN SMALL LETTER A WITH ACUTE}", {}, "/name", "too_long"),
    ],
)
def test_an_agency_that_no_letter_or_text_message_could_name_is_refused(
    service: Service, name: str, changed: dict[str, tuple[str, ...]], pointer: str, code: str
) -> None:
    with pytest.raises(Invalid, match="cannot-be-printed") as caught:
        require_printable_agency(name, PROFILE.model_copy(update=changed), renderer=service.renderer)
    assert [(finding.pointer, finding.code) for finding in caught.value.findings] == [(pointer, code)]
