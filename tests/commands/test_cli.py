"""The commands of `notifier`, on a real database and over real HTTP."""

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import pytest

from notifier.carriers.base import Callback
from notifier.cli import COMMANDS
from notifier.commands.glossary import render
from notifier.core.errors import Forbidden, Invalid
from notifier.core.reasons import REASON_MEANING
from notifier.core.status import AttemptStatus, PersonOutcome, Reason
from notifier.service import CHECKOUT, CONFIG_DIR, Service
from notifier.settings import Settings
from notifier.usecases.access import authenticate
from notifier.usecases.quarantine import list_quarantine, quarantine
from tests.commands.cli import AGENCY, PASSWORD, Run, demand_file, in_a_process


def test_every_command_has_a_help_text_and_can_be_imported(run: Run) -> None:
    for name in COMMANDS:
        assert run(name, "--help").output.startswith(f"Usage: commands {name}")


def test_check_shows_the_settings_and_reaches_everything_and_tells_no_secret(
    run: Run, house: Mapping[str, str], api_url: str
) -> None:
    url = house["DATABASE_URL"]
    twilio = {
        "TWILIO_BASE_URL": api_url,
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": PASSWORD,
        "TWILIO_FROM": "+12025550199",
        "PUBLIC_BASE_URL": "https://notices.agency.example.org",
    }
    done = run("check", **twilio)
    assert done.exit_code == 0, done.output
    assert done.output.count(" ok ") == 6
    assert PASSWORD not in done.output
    secret = url.split("://")[1].split("@")[0].split(":")[1]
    assert secret not in done.output


def test_check_tells_what_cannot_be_reached(run: Run) -> None:
    nowhere = "127.0.0.1:1"
    done = run("check", DATABASE_URL=f"postgresql://u:{PASSWORD}@{nowhere}/x", REDIS_URL=f"redis://{nowhere}/0")
    assert done.exit_code == 1
    assert done.output.count("WRONG") == 3  # the keys cannot be compared either
    assert PASSWORD not in done.output


def test_wrong_settings_are_told_all_at_once_and_without_a_traceback() -> None:
    done = in_a_process("check", DATABASE_URL=PASSWORD, NOTIFIER_BIND="nowhere", NOTIFIER_COLOUR="blue")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 3
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize("option", ["foo=1", "socket_timeout=x"])
def test_an_option_that_redis_does_not_know_is_a_wrong_setting(option: str) -> None:
    done = in_a_process("check", REDIS_URL=f"redis://127.0.0.1:1/0?{option}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("notifier: REDIS_URL has an option")


def test_an_argument_that_is_no_text_is_told_in_one_line() -> None:
    done = in_a_process("officer", "add", "A\udcff", "--role", "viewer")
    assert (done.returncode, done.stderr) == (2, "notifier: An argument is not UTF-8.\n")


def test_check_finds_a_data_folder_that_cannot_be_used() -> None:
    done = in_a_process("check", NOTIFIER_DATA_DIR="/dev/null")
    assert done.returncode == 1
    assert "NOTIFIER_DATA_DIR cannot be used" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", ["", " ", "A\x1b[31m", "x" * 101])
def test_an_officer_needs_a_name_that_can_be_shown(run: Run, agency: str, name: str) -> None:
    with pytest.raises(Invalid, match="invalid-name"):
        run("officer", "add", name, "--agency", agency, "--role", "viewer")


def test_without_a_database_a_command_says_how_to_get_one(tmp_path: Path) -> None:
    done = in_a_process("agency", "list", NOTIFIER_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr == (
        "notifier: There is no database yet: set DATABASE_URL, or start with `notifier run` or `notifier demo`.\n"
    )


def test_a_database_that_does_not_answer_is_told_without_its_address(house: Mapping[str, str]) -> None:
    gone = {**house, "DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"}
    done = in_a_process("agency", "list", **gone)
    assert done.returncode == 1
    assert done.stderr.startswith("notifier: The database cannot be reached")
    assert PASSWORD not in done.stderr


def test_migrate_may_be_run_again(run: Run) -> None:
    assert run("migrate").exit_code == 0


def test_an_agency_officers_and_keys_are_made_and_listed(run: Run, agency: str, service: Service) -> None:
    officer = run("officer", "add", "First Officer", "--agency", agency, "--role", "caseworker").output.strip()
    token = run("apikey", "create", "--officer", officer, "--machine", "--live", "--days", "30").stdout.strip()
    principal = authenticate(token, db=service.db, vault=service.vault, now=service.now())
    assert (str(principal.agency_id), str(principal.officer_id)) == (agency, officer)
    assert token.startswith("ntf_live_")
    assert agency in run("agency", "list").output
    assert "First Officer" in run("officer", "list", "--agency", agency).output
    listed = run("apikey", "list", "--agency", agency).output
    assert str(principal.key_id) in listed
    assert token not in listed


def test_an_agency_that_no_letter_could_name_is_refused_and_its_name_not_repeated(run: Run) -> None:
    name = "\N{HANGUL SYLLABLE GIM} Agency"
    with pytest.raises(Invalid, match="cannot-be-printed") as refused:
        run("agency", "add", name, *AGENCY)
    assert [finding.pointer for finding in refused.value.findings] == ["/name"]
    assert name not in run("agency", "list").output + str(refused.value)


def test_a_revoked_key_opens_nothing(run: Run, agency: str, service: Service) -> None:
    officer = run("officer", "add", "First Officer", "--agency", agency, "--role", "admin").output.strip()
    token = run("apikey", "create", "--officer", officer).stdout.strip()
    key_id = authenticate(token, db=service.db, vault=service.vault, now=service.now()).key_id
    assert run("apikey", "revoke", str(key_id)).exit_code == 0
    with pytest.raises(Forbidden):
        authenticate(token, db=service.db, vault=service.vault, now=service.now())
    assert "revoked" in run("apikey", "list", "--agency", agency).output


def test_with_several_agencies_one_must_be_named(run: Run, agency: str) -> None:
    run("agency", "add", "Another Agency", *AGENCY)
    assert run("officer", "list").exit_code == 2
    assert run("officer", "list", "--agency", agency).exit_code == 0


def test_a_refusal_is_told_in_words(house: Mapping[str, str]) -> None:
    done = in_a_process("apikey", "create", "--officer", str(uuid4()), **house)
    assert (done.returncode, done.stderr) == (1, "notifier: There is no such officer in this installation.\n")
    words = [word.replace("303-555-0100", "12") for word in AGENCY]
    done = in_a_process("agency", "add", "Example Agency", *words, **house)
    assert done.returncode == 1
    assert "/help_phone: " in done.stderr


def test_keys_rotate_leaves_one_key_and_everything_open(
    run: Run, keys: dict[str, str], house: Mapping[str, str]
) -> None:
    done = run("keys", "rotate")
    assert done.exit_code == 0
    assert len(list(Path(house["NOTIFIER_KEY_DIR"]).glob("kek-*.key"))) == 1
    assert run("mailroom", "list", **keys).exit_code == 0


def test_the_sandbox_makes_up_accounts_and_says_what_to_set(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "NOTIFIER_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "notifier", "sandbox", "--port", "0"]
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as sandbox:
        assert sandbox.stdout is not None
        facts = json.loads(sandbox.stdout.readline())
        sandbox.terminate()
        _, told = sandbox.communicate(timeout=10)
    assert sandbox.returncode == 0
    exports = dict(re.findall(r"^export (\w+)='(.*)'$", told, re.MULTILINE))
    assert exports["SENDGRID_WEBHOOK_PUBLIC_KEY"] == facts["webhook_public_key"]
    settings = Settings.load({**env, **exports, "TWILIO_BASE_URL": facts["url"]}, CONFIG_DIR)
    assert settings.twilio is not None
    assert settings.sendgrid is not None
    assert not settings.carriers_are_real


def test_the_sandbox_speaks_tls_and_says_whom_to_trust(tmp_path: Path) -> None:
    ca_file = tmp_path / "sandbox.pem"
    command = [sys.executable, "-m", "notifier", "sandbox", "--port", "0", "--ca-file", str(ca_file)]
    env = {"PATH": os.environ["PATH"], "NOTIFIER_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen(command, cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sandbox:
        assert sandbox.stdout is not None
        url = json.loads(sandbox.stdout.readline())["tls_url"]
        trusting = ssl.create_default_context(cafile=ca_file)
        with urlopen(f"{url}/healthz", context=trusting, timeout=10) as answer:  # noqa: S310 # our own sandbox
            assert json.loads(answer.read()) == {"status": "ready"}
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"{url}/healthz", timeout=10)  # noqa: S310 # our own sandbox
        sandbox.terminate()
        sandbox.communicate(timeout=10)
    assert b"PRIVATE KEY" not in ca_file.read_bytes()


def test_the_sandbox_does_not_stand_in_for_a_carrier_that_is_called_itself() -> None:
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": PASSWORD, "TWILIO_FROM": "+12025550199"}
    public = {"TWILIO_BASE_URL": "https://api.twilio.com", "PUBLIC_BASE_URL": "https://notices.agency.example.org"}
    assert in_a_process("sandbox", **account, **public).returncode == 2


def test_the_api_is_what_is_published(run: Run) -> None:
    assert run("openapi", "--check").exit_code == 0


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_list_is_imported_once_however_often_the_command_is_run(
    run: Run, keys: dict[str, str], tmp_path: Path, form: str
) -> None:
    people = tmp_path / f"people.{form}"
    people.write_text(run("sample", "--people", "120", "--format", form).output, encoding="utf-8")
    words = ("matter", "import", str(people), "--demand", str(demand_file(tmp_path)))
    first = run(*words, **keys)
    received = json.loads(first.stdout)
    assert (received["rows"], received["persons"]) == (120, 120)
    again = run(*words, **keys)
    assert json.loads(again.stdout) == received
    assert "nothing was added" in again.stderr
    shown = run("matter", "show", received["matter_id"], **keys).output
    assert re.search(r"^ *120 +in all", shown, re.MULTILINE)
    assert "awaiting_approval" in shown


def test_a_faulty_list_is_refused_with_the_place_of_each_fault(run: Run, keys: dict[str, str], tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("external_id,name,language\nA-1,Sample Person,en\nA-2,Sample Person,klingon\n")
    refused = run("matter", "import", str(people), "--demand", str(demand_file(tmp_path)), **keys)
    assert refused.exit_code == 1
    assert "/1/language" in refused.stderr


def test_a_wrong_key_and_a_missing_server_are_told(run: Run, keys: dict[str, str], house: Mapping[str, str]) -> None:
    words = ("matter", "show", str(uuid4()))
    refused = run(*words, **{**keys, "MACHINE_KEY": "ntf_test_" + "x" * 40})
    assert refused.exit_code == 1
    assert "401 invalid-key" in refused.stderr
    missing = in_a_process(*words, **house, MACHINE_KEY="ntf_test_x", API_URL="http://127.0.0.1:1")
    assert missing.returncode == 1
    assert "no answer from http://127.0.0.1:1" in missing.stderr


def test_a_carrier_is_stopped_and_goes_on_from_the_command_line(run: Run, agency: str, keys: dict[str, str]) -> None:
    placed = run("stop", "place", "--carrier", "twilio_sms", "--reason", "carrier_trouble", **keys)
    assert placed.exit_code == 0
    stop = placed.output.removeprefix("stopped: ").strip()
    listed = run("stop", "list", **keys).output
    assert stop in listed
    assert "carrier_trouble" in listed
    assert run("stop", "resume", **keys).output == "awaiting_second_officer\n"
    again = run("stop", "resume", "--stop", stop, **keys)
    assert (again.exit_code, "second-officer-needed" in again.output) == (1, True)
    second = run("officer", "add", "Third Officer", "--agency", agency, "--role", "approver").output.strip()
    key = run("apikey", "create", "--officer", second).stdout.strip()
    assert run("stop", "resume", **{**keys, "PERSONAL_KEY": key}).output == "running\n"
    assert stop not in run("stop", "list", **keys).output


def test_a_stop_of_nothing_is_refused_before_anybody_is_asked(run: Run, keys: dict[str, str]) -> None:
    assert run("stop", "place", **keys).exit_code == 2
    assert run("stop", "resume", "--matter", str(uuid4()), "--stop", str(uuid4()), **keys).exit_code == 2


def test_the_clock_of_a_test_matter_moves(run: Run, keys: dict[str, str], tmp_path: Path) -> None:
    people = tmp_path / "people.ndjson"
    people.write_text(run("sample", "--people", "1").output)
    made = run("matter", "import", str(people), "--demand", str(demand_file(tmp_path)), **keys)
    moved = run("clock", "advance", json.loads(made.stdout)["matter_id"], "--days", "400")
    assert moved.exit_code == 0
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC\n", moved.output)


def test_the_glossary_is_what_the_code_says() -> None:
    assert (CHECKOUT / "docs" / "glossary.md").read_text(encoding="utf-8") == render(), (
        "notifier glossary > docs/glossary.md"
    )


def test_every_word_of_a_status_has_its_sentence() -> None:
    page = render()
    for word in (*PersonOutcome, *AttemptStatus):
        assert f"| `{word}` |" in page
        assert word.meaning in page
    assert REASON_MEANING.keys() == set(Reason)


TWILIO = {
    "TWILIO_BASE_URL": "https://api.twilio.com",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "made-up-token-of-tests",
    "TWILIO_FROM": "+12025550199",
    "PUBLIC_BASE_URL": "https://notices.agency.example.org",
}


def test_what_nobody_could_place_is_listed_without_its_words_and_read_again(run: Run, service: Service) -> None:
    assert run("receipts", "list").output == "In quarantine: nothing.\n"
    assert run("receipts", "replay").output == "Nothing to read again.\n"
    body = b"MessageSid=SM" + b"0" * 32 + b"&MessageStatus=teleported&To=%2B13035550142"
    url = f"{TWILIO['PUBLIC_BASE_URL']}/callbacks/twilio_sms"
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "nobody's"}
    for age, reason in ((timedelta(hours=3), "unreadable"), (timedelta(days=3), "names-no-attempt")):
        callback = Callback(url, headers, body + reason.encode(), datetime.now(UTC) - age)
        quarantine(service.db, callback, carrier="twilio_sms", reason=reason, vault=service.vault)
    shown = run("receipts", "list").output
    assert [line.split() for line in shown.splitlines()][1:] == [
        ["twilio_sms", "names-no-attempt", "1", "3", "days", "3", "days"],
        ["twilio_sms", "unreadable", "1", "3", "h", "3", "h"],
    ]
    oldest, newest = list_quarantine(service.db)
    each = run("receipts", "list", "--each").output
    assert str(oldest.quarantine_id) in each
    assert "0142" not in each
    assert run("receipts", "replay").output == "2 are of a carrier that is not in use\n"
    chosen = ("receipts", "replay", "--id", str(newest.quarantine_id))
    assert run(*chosen, **TWILIO).output == "1 are not proved by today's keys of the carrier\n"
    assert run("receipts", "replay", "--reason", "nonsense", **TWILIO).output == "Nothing to read again.\n"
    assert len(list_quarantine(service.db)) == 2
