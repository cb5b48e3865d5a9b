"""What a 429 says about waiting is honoured within bounds, however it is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.carriers.retry_after import retry_after

NOW = 1_700_000_000.0  # 14 November 2023, 22:13:20
RESET = "X-RateLimit-Reset"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "3", RESET: "1700000009"}, 3.0),
        ({"Retry-After": "999999"}, 3600.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"Retry-After": "Tuesday, 14-Nov-23 22:13:50 GMT"}, 30.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0),
        ({"Retry-After": "soon", RESET: "1700000009"}, 9.0),
        ({RESET: "1700000009"}, 9.0),
        ({RESET: "1"}, 0.0),
        ({RESET: "99999999999"}, 3600.0),
        ({RESET: "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": ""}, None),
    ],
)
def test_either_header_is_read_and_bounded(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW, reset=RESET) == seconds


def test_a_header_that_is_not_the_vendors_is_not_read() -> None:
    assert retry_after({RESET: "1700000009"}, NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{1,9} [A-Z+0-9]{1,6}"))
def test_no_header_makes_it_fail(given_text: str) -> None:
    wait = retry_after({"Retry-After": given_text}, NOW)
    assert wait is None or 0.0 <= wait <= 3600.0
