"""The bench's own reckoning; its figures are checked by nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.carriers.sandbox.magic import SMS_DELIVERED, sms_plan
from notifier.core.person_row import PersonRow, to_contacts
from tests.bench.__main__ import ALL, OF_ALL
from tests.bench.people import ALL_KINDS, LANGUAGES, rows
from tests.bench.processes import Meter
from tests.bench.report import BEGIN, DOCS_FILE, END, Report, write_docs

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_what_an_ended_child_used_stays_counted() -> None:
    meter = Meter({"ours": os.getpid()})
    before = meter.read()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert meter.read().since(before).used("ours") >= 0.25


def test_a_process_set_aside_is_not_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", f"{BURN}\ninput()"], stdin=subprocess.PIPE) as child:
        all_of_us, without_child = Meter({"ours": os.getpid()}), Meter({"ours": os.getpid()}, aside=[child.pid])
        while all_of_us.read().used("ours") - without_child.read().used("ours") < 0.25:
            assert child.poll() is None
        assert child.pid in all_of_us.members("ours")
        child.communicate(b"\n")


def test_the_middle_of_a_ratio_is_the_ratio_of_the_medians() -> None:
    report = Report({"ratio": ""}, {"ratio": ("above", "below")})
    for above, below in ((1.0, 4.0), (2.0, 2.0), (9.0, 3.0)):
        report.add({"above": above, "below": below, "ratio": above / below}, {})
    assert report.summary()["ratio"] == {"min": 0.25, "median": 0.667, "max": 3.0, "unit": ""}


def test_figures_replace_what_stood_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", "utf-8")
    write_docs("new", page)
    assert page.read_text("utf-8") == f"above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"


def test_a_page_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n", "utf-8")
    with pytest.raises(ValueError, match="no place"):
        write_docs("new", page)


def test_one_person_in_fifty_has_a_contact_that_cannot_be_used() -> None:
    found = [
        to_contacts(PersonRow.model_validate(row)) for row in rows(300, kinds=ALL_KINDS, languages=LANGUAGES, odd=True)
    ]
    unusable = [sum(not point.usable for point in points) for points in found]
    assert all(len(points) == 3 for points in found)
    assert [index for index, count in enumerate(unusable) if count] == list(range(0, 300, 50))
    assert set(unusable) == {0, 1}


def test_everybody_on_a_small_list_can_be_reached_by_sms() -> None:
    for row in rows(2000, kinds={"phone"}, languages=("en",), odd=False):
        (point,) = to_contacts(PersonRow.model_validate(row))
        assert sms_plan(point.value) is SMS_DELIVERED


def test_every_key_is_told_on_the_page_and_belongs_to_one_run() -> None:
    keys = [key for run in ALL for key in run.keys] + list(OF_ALL)
    page = DOCS_FILE.read_text("utf-8").partition(BEGIN)[0]
    assert len(keys) == len(set(keys))
    assert [key for key in keys if f"`{key}`" not in page] == []
