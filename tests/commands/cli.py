"""What the tests of commands share: how a command is run, and what it is given."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from click.testing import Result

from notifier.service import CHECKOUT

Run = Callable[..., Result]

PASSWORD = "this-is-a-secret-of-tests"
DEMAND = CHECKOUT / "docs" / "examples" / "matter.json"
AGENCY = (
    *("--help-phone", "303-555-0100", "--phone-hours", "mon-fri 08:00-17:00", "--main-phone", "303-555-0199"),
    *("--address", "Example Agency", "--address", "Denver CO 80201", "--zone", "America/Denver"),
)


def in_a_process(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as its users do: with nothing but this environment."""
    return subprocess.run(
        [sys.executable, "-m", "notifier", *words],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def demand_file(folder: Path) -> Path:
    """A demand with an external id of its own."""
    path = folder / "matter.json"
    path.write_text(json.dumps({**json.loads(DEMAND.read_text()), "external_id": str(uuid4())}))
    return path
