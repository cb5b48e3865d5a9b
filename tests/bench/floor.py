"""The least that sending costs: the carrier's adapter in a bare loop, with messages made beforehand.

Nothing is read, written, encrypted or recorded. A process of its own, so that nothing else is in its figures:
`python -m tests.bench.floor` reads {"count", "sandbox"} as one line of JSON and prints {"seconds", "cpu_seconds"}.
"""

import asyncio
import json
import subprocess
import sys
import time
from uuid import uuid4

from notifier.bootstrap import wire
from notifier.carriers import open_carrier
from notifier.carriers.base import Message, Outcome
from tests.bench.people import AREAS, DELIVERED
from tests.sandbox import ACCOUNT_SID, AUTH_TOKEN, ROOT, SERVICE_SID

WARM_UP = 200
# As long as the real text.
TEXT = "Example Agency: a notice about your records was sent to you. " * 3


def measure(count: int, sandbox_url: str) -> tuple[float, float]:
    """Send so many in a process of its own: (seconds, CPU-seconds)."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.floor"],
        input=json.dumps({"count": count, "sandbox": sandbox_url}).encode(),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout)
    return float(found["seconds"]), float(found["cpu_seconds"])


async def main() -> None:
    """Send, and say what it took."""
    asked = json.loads(sys.stdin.readline())
    carrier = open_carrier(
        "twilio_sms",
        base_url=asked["sandbox"],
        account_sid=ACCOUNT_SID,
        auth_token=AUTH_TOKEN,
        sender=SERVICE_SID,
        public_base_url="http://127.0.0.1:9",
        wire=wire("twilio_sms"),
    )
    agency_id = uuid4()
    messages = [
        Message(agency_id=agency_id, attempt_id=uuid4(), to=_number(index), text=TEXT, language="en")
        for index in range(WARM_UP + asked["count"])
    ]
    await carrier.send(messages[:WARM_UP])  # connections are opened
    began, used = time.monotonic(), time.process_time()
    results = await carrier.send(messages[WARM_UP:])
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - used
    await carrier.close()
    assert all(result.outcome is Outcome.HANDED_OVER for result in results)
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}))


def _number(index: int) -> str:
    return f"+1{AREAS[index // DELIVERED % len(AREAS)]}55501{index % DELIVERED:02d}"


if __name__ == "__main__":
    asyncio.run(main())
