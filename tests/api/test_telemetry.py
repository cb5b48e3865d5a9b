"""What is logged holds nobody's data, whoever logs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from notifier.telemetry import PERSONAL, describe, drop_personal

ROOT = Path(__file__).resolve().parents[2]


def log_of(code: str) -> list[dict[str, Any]]:
    """Run code in a process of its own, with our logging; its standard error, line by line."""
    program = f"from notifier.telemetry import configure_logging, get_logger\nconfigure_logging('INFO')\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_our_own_events_are_json_without_personal_fields() -> None:
    (line,) = log_of("get_logger('notifier.x').info('it happened', rows=3, name='Canary', email='c@example.org')")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "it happened", "rows": 3, "level": "info"}


def test_what_libraries_log_loses_its_arguments() -> None:
    lines = log_of(
        "import logging\n"
        "logging.getLogger('twilio.http_client').warning('to %s', '303-555-0142')\n"
        "logging.getLogger('sqlalchemy.engine').error(f'insert 303-555-0142')\n"
        "logging.getLogger('twilio.http_client').info('to %s', '303-555-0142')\n"
    )
    assert [(line["logger"], line["event"]) for line in lines] == [
        ("twilio.http_client", "to %s"),
        ("sqlalchemy.engine", "(text withheld)"),
    ]


def test_gunicorn_may_speak_of_itself_but_not_repeat_a_caller() -> None:
    lines = log_of(
        "import logging\n"
        "log = logging.getLogger('gunicorn.error')\n"
        "log.info('Listening at: %s', 'http://127.0.0.1')\n"
        "log.warning('Invalid request from ip=1.2.3.4: Canary')\n"
        "log.error('Error handling request %s', '/Canary')\n"
    )
    assert [line["event"] for line in lines] == [
        "Listening at: http://127.0.0.1",
        "Invalid request from",
        "Error handling request",
    ]


def test_an_exception_is_logged_without_its_text_and_values() -> None:
    lines = log_of(
        "import logging\n"
        "from notifier.core.contacts import phone\n"
        "secret = 'Canary'\n"
        "try:\n"
        "    try:\n"
        "        phone(None)\n"
        "    except Exception as error:\n"
        "        raise ValueError('Canary 303-555-0142') from error\n"
        "except ValueError:\n"
        "    logging.getLogger('werkzeug').exception('failed for %s', secret)\n"
        "    get_logger('notifier.x').exception('failed')\n"
        "raise KeyError('Canary')\n"
    )
    assert "Canary" not in json.dumps(lines)
    assert "303-555" not in json.dumps(lines)
    assert [line["event"] for line in lines] == ["failed for %s", "failed", "uncaught exception"]
    for line in lines[:2]:
        assert line["exception"]["types"][0] == "builtins.ValueError"
        assert any(frame.startswith("notifier/core/contacts.py:") for frame in line["exception"]["frames"])
    assert lines[2]["exception"]["types"] == ["builtins.KeyError"]


def test_an_exception_in_a_thread_is_logged_alike() -> None:
    (line,) = log_of(
        "import threading\n"
        "def fail(): raise ValueError('Canary')\n"
        "thread = threading.Thread(target=fail)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    assert line["exception"]["types"] == ["builtins.ValueError"]
    assert "Canary" not in json.dumps(line)


def test_a_logger_that_nobody_configured_shows_no_values() -> None:
    code = (
        "from notifier.telemetry import get_logger\n"
        "secret = 'Canary'\n"
        "try:\n"
        "    raise ValueError('Canary')\n"
        "except ValueError:\n"
        "    get_logger('notifier.x').exception('failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "failed" in done.stderr
    assert "Canary" not in done.stderr


def test_a_chain_of_exceptions_that_bites_its_tail_ends() -> None:
    first, second = ValueError("Canary"), KeyError("Canary")
    first.__cause__, second.__cause__ = second, first
    assert describe(first) == {"types": ["builtins.ValueError", "builtins.KeyError"], "frames": []}


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_every_personal_field_is_dropped(name: str) -> None:
    assert drop_personal(None, "info", {name: "Canary", "rows": 1}) == {"rows": 1}


def test_the_application_says_all_that_keeps_it_from_starting() -> None:
    env = {"PATH": os.environ.get("PATH", ""), "TWILIO_EDGE": "ashburn", "NOTIFIER_LOG_LEVEL": "LOUD"}
    done = subprocess.run(
        [sys.executable, "-c", "from notifier.web import create_app; create_app()"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 4
    assert "TWILIO_EDGE" in done.stderr
    assert "NOTIFIER_LOG_LEVEL" in done.stderr
    assert "Traceback" not in done.stderr
