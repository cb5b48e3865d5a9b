"""The README's walk, pasted as it stands while `notifier demo` runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from notifier.service import CHECKOUT
from tests.e2e.stranger import environment, notifier

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.mark.deep
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_thousand_people_are_followed_to_their_end(home: Path) -> None:
    steps = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    env = environment(home)
    steps = steps.replace(". .data/demo.env", f". {home}/data/demo.env")
    with notifier("demo", env=env) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "Ctrl-C" in line:
                break
        walk = subprocess.run(
            ["/bin/bash", "-eu", "-c", steps],
            cwd=CHECKOUT,
            env={**env, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        demo.terminate()
        demo.communicate(timeout=60)
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert '"rows": 1000, "persons": 1000' in walk.stdout
    last = walk.stdout.rpartition("what it means")[2]
    assert re.search(r"^ *1000 +in all", last, re.MULTILINE)
    for waiting in ("in_progress", "on_its_way", "awaiting_approval"):
        assert waiting not in last
