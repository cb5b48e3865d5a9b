import tomllib
from pathlib import Path
from typing import Any

import pytest

from notifier.carriers import CARRIERS, open_carrier, open_reader
from notifier.carriers.timetable import Retry, load, read
from notifier.core.errors import SettingsError
from notifier.core.model import Channel

CONFIG = Path(__file__).resolve().parents[2] / "config" / "carriers.toml"


@pytest.fixture
def document() -> dict[str, Any]:
    return tomllib.loads(CONFIG.read_text(encoding="utf-8"))


def problems(document: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as refused:
        read(document)
    return "\n".join(refused.value.problems)


def test_the_shipped_file_holds_every_carrier_and_contradicts_nothing() -> None:
    assert load(CONFIG).keys() == CARRIERS.keys()
    assert {entry.channel for entry in CARRIERS.values()} == set(Channel)


def test_a_sweep_before_the_last_retry_is_refused(document: dict[str, Any]) -> None:
    document["twilio_sms"]["wire"]["sweep_after_seconds"] = 1200
    assert "the sweep comes before the last retry (1231 s)" in problems(document)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("wire", "connect_timeout_seconds"), 10, "connecting may take as long as the whole call"),
        (("wire", "retry", "cap_seconds"), 0.5, "the first delay is above its cap"),
        (("wire", "timeout_seconds"), 17, "a call may outlast a worker that is asked to end (16 s)"),
        (("wire", "lease_seconds"), 39, "the lease may end before the answer of its last call is written down"),
        (("wire", "breaker", "cap_seconds"), 4, "the breaker's first rest is above its cap"),
        (("wire", "rate", "alone_per_second"), 1001, "one process alone is faster than all together"),
        (("wire", "resend_after_seconds"), 1800, "a message is sent anew before its carrier was asked"),
        (("wire", "resend_after_seconds"), 14_399, "a message is sent anew while the first can still go out"),
        (("silent_after_hours",), 4.5, "silence is declared before a message would be sent anew"),
        (("silent_after_hours",), 4, "silence is declared while the message can still go out"),
        (("wire", "validity_seconds"), 36_001, "less than or equal to 36000"),
        (("wire", "timeout_seconds"), "10", "valid number"),
        (("wire", "concurrency"), True, "valid integer"),
        (("wire", "patience"), 1, "wire.patience"),
        (("wire", "batch"), 101, "less than or equal to 100"),
        (("wire", "rate", "burst"), 0, "greater than or equal to 1"),
        (("wire", "breaker", "failures"), 0, "greater than or equal to 1"),
        (("wire", "codes", "21211"), "bad luck", "codes.21211"),
    ],
)
def test_each_contradiction_is_named(
    document: dict[str, Any], path: tuple[str, ...], value: object, problem: str
) -> None:
    table = document["twilio_sms"]
    for name in path[:-1]:
        table = table[name]
    table[path[-1]] = value
    assert problem in problems(document)


def test_everything_wrong_is_told_at_once(document: dict[str, Any]) -> None:
    del document["mailroom_letter"]
    document["pigeon_post"] = {"silent_after_hours": 1}
    document["sendgrid_email"]["wire"]["batch"] = 0
    told = problems(document)
    assert "no section [mailroom_letter]" in told
    assert "[pigeon_post] is no carrier" in told
    assert "sendgrid_email.wire.batch" in told


def test_a_file_that_is_missing_or_no_toml_is_one_clear_problem(tmp_path: Path) -> None:
    broken = tmp_path / "carriers.toml"
    for text in (None, "[twilio_sms", b"\xff\xfe"):
        if isinstance(text, str):
            broken.write_text(text, encoding="utf-8")
        elif text is not None:
            broken.write_bytes(text)
        with pytest.raises(SettingsError, match=r"carriers\.toml cannot be read"):
            load(broken)


def test_delays_double_up_to_the_cap_and_never_overflow() -> None:
    retry = Retry(tries=5, first_delay_seconds=1, factor=2, cap_seconds=6)
    assert [retry.delay_seconds(failures) for failures in (1, 2, 3, 4, 10_000)] == [1, 2, 4, 6, 6]
    assert retry.waits_seconds == 13


def test_an_unknown_carrier_or_one_that_is_not_called_is_refused() -> None:
    for slug in ("pigeon_post", "mailroom_letter"):
        with pytest.raises(KeyError):
            open_carrier(slug)
        with pytest.raises(KeyError):
            open_reader(slug)


def test_a_reader_is_opened_by_its_slug() -> None:
    assert open_reader("twilio_sms", auth_tokens=["token"], codes={}).slug == "twilio_sms"
