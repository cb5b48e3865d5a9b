"""The agency's own address as a carrier that posts letters must read it."""

import pytest

from notifier.core.errors import Invalid
from notifier.core.model import PostalAddress
from notifier.usecases.return_address import NOWHERE, read_address, require_postal
from tests.installation import PROFILE


def test_an_address_that_cannot_be_posted_from_is_refused_when_it_is_entered() -> None:
    odd = PROFILE.model_copy(update={"return_address": ("Example Agency", "Our House", "near Denver")})
    with pytest.raises(Invalid) as refused:
        require_postal(odd, "lob_letter")
    assert [(one.pointer, one.code) for one in refused.value.findings] == [("/return_address", "not_postal")]
    require_postal(odd, "mailroom_letter")
    require_postal(PROFILE, "lob_letter")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Agency", "PO Box 1", "Denver CO 80201"], PostalAddress(("PO Box 1",), "Denver", "CO", "80201")),
        (
            ["Agency", "1 Main Street", "Room 2", "Fort  Collins, CO 80521-1234"],
            PostalAddress(("1 Main Street", "Room 2"), "Fort Collins", "CO", "80521-1234"),
        ),
        (["Agency", "Denver CO 80201"], NOWHERE),
        (["Agency", "PO Box 1", "Denver"], NOWHERE),
        (["Agency", "PO Box 1", "Denver Colorado 80201"], NOWHERE),
        (["Agency"], NOWHERE),
    ],
)
def test_the_agencys_printed_lines_are_read_plainly_or_not_at_all(lines: list[str], expected: PostalAddress) -> None:
    assert read_address(lines) == ("Agency", expected)
