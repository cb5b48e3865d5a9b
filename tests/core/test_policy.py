"""Packs are data: what is wrong with them is listed at the start, and a matter binds the agency default always."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.errors import Finding, Invalid, SettingsError
from notifier.core.model import Channel, TaskKind
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
    household_gap_of,
    plan_of,
    resend_unknown_of,
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
    first = [row for row in pack.plan if not row.delay]
    assert [row.channel for row in first] == [Channel.LETTER, Channel.EMAIL, Channel.SMS]
    assert all((row.after, row.needs, row.unless) == (Evidence.APPROVAL, frozenset(), frozenset()) for row in first)


def test_whatever_the_agency_default_sends_later_stops_when_the_person_answers() -> None:
    later = [row for row in load_packs(SHIPPED)[DEFAULT_PACK].plan if row.delay]
    assert {row.channel for row in later} == set(Channel)
    assert all(row.unless == {Evidence.ACCESSED, Evidence.ACKNOWLEDGED, Evidence.OBJECTED} for row in later)
    assert all((row.max_attempts, row.min_spacing) == (2, timedelta(hours=48)) for row in later)


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


AGENCY = OTHER.decode().replace("requester", "agency")
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


TASK = """
[[plan]]
id = "call"
do = "task"
task = "call"
after = "approval"
delay_hours = 48
needs = []
unless = ["acknowledged"]
"""


def with_row(row_id: str = "a", *, hours: str = "0", most: str = "1", needs: str = "[]", unless: str = "[]") -> str:
    return AGENCY + ROW.format(id=row_id, hours=hours, most=most, needs=needs, unless=unless)


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
        (with_row() + 'service = "express"', "us-other.toml: plan[0]: service: must be one of: first_class, certified"),
        (with_row() + 'service = "certified"', "us-other.toml: plan: a: certified mail is often left unclaimed"),
        (
            with_row().replace('"letter"', '"sms"') + 'service = "first_class"',
            "us-other.toml: plan: a: only a letter has a service",
        ),
        (with_row() + 'contacts = "some"', "us-other.toml: plan[0]: contacts: must be one of: all, first, next"),
        (with_row() + "min_spacing_hours = -1", "us-other.toml: plan[0]: min_spacing_hours: must be a whole number"),
        (with_row() + 'do = "wait"', "us-other.toml: plan[0]: do: must be one of: message, task"),
        (AGENCY + TASK.replace('"call"\nafter', '"review"\nafter'), "us-other.toml: plan: call: a plan asks for these"),
        (AGENCY + TASK + 'channel = "sms"', "us-other.toml: plan[0]: channel: is not known"),
        (AGENCY + TASK + 'contacts = "next"', "us-other.toml: plan: call: a task has no contact points"),
        ("resend_unknown = 4\n" + AGENCY, "us-other.toml: resend_unknown: must be a whole number from 0 to 3"),
        ("household_gap_minutes = 300\n" + AGENCY, "us-other.toml: household_gap_minutes: must be a whole number"),
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


def test_a_row_that_asks_for_a_call_is_a_task_and_no_message() -> None:
    (row,) = load_packs({f"{DEFAULT_PACK}.toml": DEFAULT, "us-other.toml": (AGENCY + TASK).encode()})["us-other"].plan
    assert (row.task, row.channel, row.delay) == (TaskKind.CALL, None, timedelta(hours=48))


def test_what_packs_say_of_resending_and_of_households_is_the_most_that_any_of_them_says() -> None:
    one = replace(pack_with("a"), resend_unknown=1, household_gap=timedelta(minutes=30))
    two = replace(pack_with("b"), resend_unknown=2)
    silent = replace(pack_with("c", notice_from=NoticeFrom.REQUESTER), resend_unknown=3)
    assert resend_unknown_of([one, two, silent]) == 2
    assert household_gap_of([one, two]) == timedelta(minutes=30)
    assert (resend_unknown_of([silent]), household_gap_of([])) == (0, timedelta(0))


def test_a_pack_whose_notice_comes_from_the_requester_sends_nothing() -> None:
    row = PlanRow("one", Channel.SMS, Evidence.APPROVAL, timedelta(0), 1)
    assert plan_of([pack_with("a", row, notice_from=NoticeFrom.REQUESTER)]) == ()
