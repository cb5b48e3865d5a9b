"""Packs are data: what is wrong with them is listed at the start, and a matter binds the agency default always."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.errors import Finding, Invalid, SettingsError
from notifier.core.model import Channel
from notifier.core.pack_files import load_packs
from notifier.core.policy import (
    DEFAULT_PACK,
    Confidence,
    Evidence,
    LegalStatus,
    NoticeFrom,
    Pack,
    PackStatus,
    PlanRow,
    Source,
    bind,
    plan_of,
)

FOLDER = Path(__file__).parents[2] / "config" / "packs"
SHIPPED = {path.name: path.read_bytes() for path in FOLDER.glob("*.toml")}
DEFAULT = SHIPPED[f"{DEFAULT_PACK}.toml"]

OTHER = b"""
id = "us-other"
version = 2
title = "Another"
legal_status = "LAW"
from = "requester"
effect = "effect.other"
[[sources]]
citation = "1 U.S.C. 1"
confidence = "V"
note = "made up"
"""


def problems_with(text: str, name: str = "us-other.toml") -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_packs({f"{DEFAULT_PACK}.toml": DEFAULT, name: text.encode()})
    return caught.value.problems


def test_the_agency_default_sends_letter_email_and_text_message_at_once_after_the_approval() -> None:
    pack = load_packs(SHIPPED)[DEFAULT_PACK]
    assert {row.channel for row in pack.plan} == set(Channel)
    assert all(
        (row.after, row.delay, row.unless) == (Evidence.APPROVAL, timedelta(0), frozenset()) for row in pack.plan
    )


def test_the_agency_default_is_a_draft_that_says_it_is_policy_and_not_law() -> None:
    pack = load_packs(SHIPPED)[DEFAULT_PACK]
    assert pack.status is PackStatus.DRAFT
    assert pack.legal_status is LegalStatus.POLICY_NOT_LAW
    assert pack.notice_from is NoticeFrom.AGENCY
    assert (
        Source(
            "Jones v. Flowers, 547 U.S. 220 (2006)",
            Confidence.VERIFIED,
            "When mail comes back, further reasonable steps follow: hence several channels at once, not one.",
        )
        in pack.sources
    )


def test_a_pack_is_known_by_the_hash_of_its_bytes() -> None:
    assert load_packs(SHIPPED)[DEFAULT_PACK].sha256 == hashlib.sha256(DEFAULT).hexdigest()


def test_without_the_agency_default_nothing_is_loaded() -> None:
    with pytest.raises(SettingsError, match=f"{DEFAULT_PACK}.toml is missing"):
        load_packs({"us-other.toml": OTHER})


def test_every_problem_of_every_file_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_packs(
            {
                f"{DEFAULT_PACK}.toml": DEFAULT.replace(b'channel = "sms"', b'channel = "fax"'),
                "latin.toml": b'id = "\xe9"',
                "us-other.toml": OTHER.replace(b"version = 2", b"version = true\nstatus = 1"),
            }
        )
    found = caught.value.problems
    assert f"{DEFAULT_PACK}.toml: plan[2]: channel: must be one of: sms, email, letter" in found
    assert any(problem.startswith("latin.toml: is not TOML") for problem in found)
    assert "us-other.toml: version: must be a whole number from 1 to 1000000" in found
    assert "us-other.toml: status: is not known" in found


ROW = """
[[plan]]
id = "{id}"
channel = "letter"
after = "approval"
delay_hours = {hours}
max_attempts = {most}
needs = {needs}
unless = {unless}
"""


def with_row(row_id: str = "a", *, hours: str = "0", most: str = "1", needs: str = "[]", unless: str = "[]") -> str:
    agency = OTHER.decode().replace("requester", "agency")
    return agency + ROW.format(id=row_id, hours=hours, most=most, needs=needs, unless=unless)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "us-other.toml: title: must be a text"),
        (OTHER.decode().replace('"us-other"', '"Us Other"'), "us-other.toml: id: must be lower-case"),
        (OTHER.decode().replace('"us-other"', '"us-this"'), "us-other.toml: id: must be the file's name without .toml"),
        (OTHER.decode().replace('"V"', '"POLICY"'), "us-other.toml: sources: a pack that states law must cite it"),
        (
            OTHER.decode().replace('"V"', '"X"'),
            "us-other.toml: sources[0]: confidence: must be one of: V, P, M, POLICY",
        ),
        (OTHER.decode() + "url = 'x'", "us-other.toml: sources[0]: url: is not known"),
        (OTHER.decode() + ROW.format(id="a", hours=0, most=1, needs=[], unless=[]), "us-other.toml: plan: notice from"),
        ("plan = 3\n" + OTHER.decode(), "us-other.toml: plan: must be written as [[plan]]"),
        (with_row() + ROW.format(id="a", hours=1, most=1, needs=[], unless=[]), "us-other.toml: plan: two rows are"),
        (with_row(unless='["approval"]'), "us-other.toml: plan: a can never be due"),
        (with_row(needs='["objected"]', unless='["objected"]'), "us-other.toml: plan: a can never be due"),
        (with_row(needs='"objected"'), "us-other.toml: plan[0]: needs: must be a list"),
        (with_row(needs="[1]"), "us-other.toml: plan[0]: needs: must be one of: approval,"),
        (with_row(hours="-1"), "us-other.toml: plan[0]: delay_hours: must be a whole number from 0 to 8784"),
        (with_row(most="0"), "us-other.toml: plan[0]: max_attempts: must be a whole number from 1 to 10"),
    ],
)
def test_a_pack_that_does_not_hold_together_is_refused_by_name(text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_with(text))


def test_an_agency_default_that_leaves_out_a_channel_is_refused() -> None:
    later = DEFAULT.replace(b"delay_hours = 0", b"delay_hours = 24", 1)
    with pytest.raises(SettingsError, match="nothing goes out by letter at once"):
        load_packs({f"{DEFAULT_PACK}.toml": later})


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))))
def test_any_bytes_as_a_pack_are_refused_with_a_list_and_nothing_else(content: bytes) -> None:
    with pytest.raises(SettingsError) as caught:
        load_packs({f"{DEFAULT_PACK}.toml": DEFAULT, "x.toml": content})
    assert caught.value.problems


def test_a_matter_binds_the_agency_default_even_when_it_names_none() -> None:
    packs = load_packs({**SHIPPED, "us-other.toml": OTHER})
    assert [pack.id for pack in bind([], packs)] == [DEFAULT_PACK]
    assert [pack.id for pack in bind(["us-other", DEFAULT_PACK, "us-other"], packs)] == [DEFAULT_PACK, "us-other"]


def test_an_unknown_pack_is_pointed_at_and_not_repeated() -> None:
    with pytest.raises(Invalid) as caught:
        bind([DEFAULT_PACK, "maria", "jose"], load_packs(SHIPPED))
    assert caught.value.code == "unknown-pack"
    assert [(finding.pointer, finding.code) for finding in caught.value.findings] == [
        ("/packs/1", "unknown_pack"),
        ("/packs/2", "unknown_pack"),
    ]
    assert "maria" not in f"{caught.value!r}{caught.value.findings}"
    assert isinstance(caught.value.findings[0], Finding)


def pack_with(pack_id: str, *rows: PlanRow, notice_from: NoticeFrom = NoticeFrom.AGENCY) -> Pack:
    return Pack(pack_id, 1, "t", LegalStatus.POLICY_NOT_LAW, notice_from, (), rows, "effect.x", "0" * 64)


def test_the_same_rule_in_two_packs_sends_one_message() -> None:
    first = PlanRow("one", Channel.SMS, Evidence.APPROVAL, timedelta(0), 1)
    same = PlanRow("uno", Channel.SMS, Evidence.APPROVAL, timedelta(0), 1)
    later = PlanRow("two", Channel.SMS, Evidence.APPROVAL, timedelta(days=2), 2)
    plan = plan_of([pack_with("a", first), pack_with("b", same, later)])
    assert [row.id for row in plan] == ["a/one", "b/two"]


def test_a_pack_whose_notice_comes_from_the_requester_sends_nothing() -> None:
    row = PlanRow("one", Channel.SMS, Evidence.APPROVAL, timedelta(0), 1)
    assert plan_of([pack_with("a", row, notice_from=NoticeFrom.REQUESTER)]) == ()
