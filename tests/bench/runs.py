"""What is measured: each run takes a house at rest, does one thing with real input, checks that all of it came out
right, and gives its figures. What is not in a window between two readings is not measured.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from tests.bench import floor, steady
from tests.bench.house import OURS, SANDBOX, House
from tests.bench.people import ALL_KINDS, LANGUAGES, rows, write_list
from tests.bench.processes import Reading, forget_peaks, peak_megabytes
from tests.bench.watch import WentWrong

THOUSAND = 1000
RECEIPTS_PER_SECOND = 300
HOLD_SECONDS = 1.0  # the sandbox has made its last receipt well within it
PATIENCE = 120.0  # seconds, after which something is wrong
SMS_LANGUAGES = ("en", "es-419")
PARTS = {"sms": "phone", "email": "email", "letter": "post"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one run; and for each window what each part used, CPU-seconds per 1,000 units."""

    figures: Mapping[str, float]
    spent: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One kind of run: the keys it gives with their units, how large it is, and how often it is done unless asked."""

    name: str
    keys: Mapping[str, str]
    people: int
    rounds: int
    measure: Callable[[House, int], Outcome]
    is_large: bool = False  # it makes the database grow, so it comes after all small ones


def warm_up(house: House) -> None:
    """Let every process do everything once: what is loaded on first use belongs to the start."""
    for _ in range(3):  # Gunicorn has several processes
        matter_id, _ = _listed(house, 50, ALL_KINDS, ("es-419",))
    house.caller.approve(matter_id)
    house.until(lambda: _handed_over(house, matter_id, 150), seconds=PATIENCE)
    floor.measure(1, house.sandbox.url)


def intake(house: House, people: int) -> Outcome:
    """One list of `people` in one request; every fiftieth has a contact that cannot be used."""
    path = house.folder / "list.ndjson"
    write_list(path, rows(people, kinds=ALL_KINDS, languages=LANGUAGES, odd=True))
    matter_id = house.caller.open_matter()
    web = house.meter.members("web")
    house.rest()
    forget_peaks(web)
    before = house.meter.read()
    answer = house.caller.send_list(matter_id, path)
    window = house.meter.read().since(before)
    peak = max(map(peak_megabytes, web))
    if answer["rows"] != people:
        raise WentWrong(f"{answer['rows']} rows of {people}")
    house.watch.require_stored(matter_id, people, people * len(ALL_KINDS))
    return Outcome(
        {
            "intake_people_per_s": people / window.at,
            "intake_cpu_s_per_1000": per_thousand(window, people),
            "intake_peak_mb": peak,
        },
        {"intake": spent(window, people)},
    )


def sms(house: House, people: int) -> Outcome:
    """From the officer's approval until each message was sent, its one receipt came back, and it was applied."""
    matter_id, began = _listed(house, people, {"phone"}, SMS_LANGUAGES)
    house.sandbox.control(receipts="final")
    house.rest()
    before = house.meter.read()
    house.caller.approve(matter_id)
    house.until(lambda: house.watch.statuses(matter_id)["delivered"] == people, seconds=PATIENCE)
    window = house.meter.read().since(before)
    if house.watch.applied(matter_id) != people:
        raise WentWrong("not one receipt each")
    _check(house, matter_id, people, began)
    return Outcome(
        {
            "sms_per_s": people / window.at,
            "sms_cpu_s_per_1000": per_thousand(window, people),
            "sandbox_cpu_s_per_1000": THOUSAND * window.used(SANDBOX) / people,
        },
        {"sms with receipts": spent(window, people)},
    )


def sms_in_steps(house: House, people: int) -> Outcome:
    """The same in steps: approving, sending, and afterwards the receipts, two a message; beside it the bare loop."""
    house.sandbox.control(receipts="off")
    seconds, cpu_seconds = floor.measure(people, house.sandbox.url)
    approved, sent, answered, receipts = _in_steps(house, people, "sms")
    rate = people / sent.at
    return Outcome(
        {
            "approve_cpu_s_per_1000": THOUSAND * approved.used("web", "postgres") / people,
            "sms_accept_cpu_s_per_1000": per_thousand(sent, people),
            "sms_accept_per_s": rate,
            "receipts_per_s": receipts / answered.at,
            "receipts_cpu_s_per_1000": per_thousand(answered, receipts),
            "floor_per_s": people / seconds,
            "floor_cpu_s_per_1000": THOUSAND * cpu_seconds / people,
            "sms_vs_floor": rate * seconds / people,
        },
        {
            "approving": spent(approved, people),
            "sms without receipts": spent(sent, people),
            "receipts": spent(answered, receipts),
        },
    )


def receipts_at_a_pace(house: House, people: int) -> Outcome:
    """Two receipts for each message, so many a second: how long an answer takes, which comes after the commit."""
    matter_id, _ = _listed(house, people, {"phone"}, SMS_LANGUAGES)
    house.sandbox.control(receipts="off")
    house.caller.approve(matter_id)
    house.until(lambda: _handed_over(house, matter_id, people), seconds=PATIENCE)
    base_url = f"http://{house.caller.host}:{house.caller.port}"
    attempts = house.watch.messages(matter_id)
    signed = steady.sign(base_url, house.sandbox.auth_token, house.watch.agency_id, attempts)
    house.rest()
    before = house.meter.read()
    seconds = steady.post(signed, per_second=RECEIPTS_PER_SECOND)
    house.until(lambda: house.watch.applied(matter_id) == len(signed), seconds=PATIENCE)
    window = house.meter.read().since(before)
    if house.watch.statuses(matter_id) != {"delivered": people}:
        raise WentWrong("not everybody was reached")
    return Outcome(
        {
            "receipt_p50_ms": THOUSAND * seconds[len(seconds) // 2],
            "receipt_p99_ms": THOUSAND * seconds[len(seconds) * 99 // 100],
            "paced_receipts_cpu_s_per_1000": per_thousand(window, len(signed)),
        },
        {f"receipts at {RECEIPTS_PER_SECOND}/s": spent(window, len(signed))},
    )


def email(house: House, people: int) -> Outcome:
    """From the approval's answer until each email was handed over, by TLS; afterwards their events, two a message."""
    _, sent, answered, events = _in_steps(house, people, "email")
    return Outcome(
        {
            "email_cpu_s_per_1000": per_thousand(sent, people),
            "email_per_s": people / sent.at,
            "email_events_per_s": events / answered.at,
            "email_events_cpu_s_per_1000": per_thousand(answered, events),
        },
        {"email without events": spent(sent, people), "email events": spent(answered, events)},
    )


def letter(house: House, people: int) -> Outcome:
    """From the approval's answer until all letters, Spanish and English in one, are in a print batch; by page."""
    matter_id, _ = _listed(house, people, {"post"}, ("es-419",))
    house.rest()
    house.caller.approve(matter_id)
    before = house.meter.read()
    house.until(lambda: _handed_over(house, matter_id, people), seconds=PATIENCE)
    window = house.meter.read().since(before)
    pages = house.watch.pages(matter_id)
    house.watch.require_stored(matter_id, people, people)
    return Outcome(
        {
            "letter_cpu_s_per_1000": per_thousand(window, pages),
            "letter_pages_per_s": pages / window.at,
            "letter_pages_each": pages / people,
        },
        {"letters, by page": spent(window, pages)},
    )


def _in_steps(house: House, people: int, channel: str) -> tuple[Reading, Reading, Reading, int]:
    """Windows of approving, sending without receipts, and applying what was held; and how many receipts there were."""
    matter_id, began = _listed(house, people, {PARTS[channel]}, SMS_LANGUAGES)
    house.sandbox.control(receipts="held")
    house.rest()
    start = house.meter.read()
    house.caller.approve(matter_id)
    approved = house.meter.read()
    house.until(lambda: _handed_over(house, matter_id, people), seconds=PATIENCE)
    sent = house.meter.read()
    time.sleep(HOLD_SECONDS)
    before = house.meter.read()
    house.sandbox.control(receipts="all")
    house.until(lambda: house.watch.applied(matter_id) == 2 * people, seconds=PATIENCE)
    answered = house.meter.read().since(before)
    if house.watch.statuses(matter_id) != {"delivered": people}:
        raise WentWrong("not everybody was reached")
    _check(house, matter_id, people, began)
    return approved.since(start), sent.since(approved), answered, 2 * people


def _listed(house: House, people: int, kinds: Collection[str], languages: tuple[str | None, ...]) -> tuple[str, int]:
    """A matter with a list that waits for approval; and how many lines the sandbox's record has by now."""
    path = house.folder / "list.ndjson"
    write_list(path, rows(people, kinds=kinds, languages=languages, odd=False))
    matter_id = house.caller.open_matter()
    house.caller.send_list(matter_id, path)
    house.sandbox.settle(60)
    return matter_id, int(house.sandbox.summary()["lines"])


def _handed_over(house: House, matter_id: str, attempts: int) -> bool:
    statuses = house.watch.statuses(matter_id)
    return sum(count for status, count in statuses.items() if status not in {"planned", "sending"}) == attempts


def _check(house: House, matter_id: str, people: int, began: int) -> None:
    house.sandbox.settle(60)
    house.watch.require_stored(matter_id, people, people)
    house.watch.require_one_each(matter_id, house.sandbox, after=began)


def per_thousand(window: Reading, units: int) -> float:
    """CPU-seconds of all that is ours for 1,000 units."""
    return THOUSAND * window.used(*OURS) / units


def spent(window: Reading, units: int) -> dict[str, float]:
    """CPU-seconds of each part for 1,000 units."""
    return {part: THOUSAND * used / units for part, used in window.cpu.items()}


RUNS = (
    Run(
        "sms",
        {"sms_cpu_s_per_1000": "CPU-s", "sms_per_s": "messages/s", "sandbox_cpu_s_per_1000": "CPU-s"},
        2000,
        7,
        sms,
    ),
    Run(
        "sms_in_steps",
        {
            "sms_accept_cpu_s_per_1000": "CPU-s",
            "sms_accept_per_s": "messages/s",
            "floor_cpu_s_per_1000": "CPU-s",
            "floor_per_s": "messages/s",
            "sms_vs_floor": "ratio",
            "approve_cpu_s_per_1000": "CPU-s",
            "receipts_cpu_s_per_1000": "CPU-s",
            "receipts_per_s": "receipts/s",
        },
        1500,
        7,
        sms_in_steps,
    ),
    Run(
        "receipts_at_a_pace",
        {"receipt_p50_ms": "ms", "receipt_p99_ms": "ms", "paced_receipts_cpu_s_per_1000": "CPU-s"},
        1500,
        5,
        receipts_at_a_pace,
    ),
    Run(
        "email",
        {
            "email_cpu_s_per_1000": "CPU-s",
            "email_per_s": "messages/s",
            "email_events_cpu_s_per_1000": "CPU-s",
            "email_events_per_s": "events/s",
        },
        2000,
        7,
        email,
    ),
    Run(
        "letter",
        {"letter_cpu_s_per_1000": "CPU-s", "letter_pages_per_s": "pages/s", "letter_pages_each": "pages"},
        100,
        5,
        letter,
    ),
    Run(
        "intake",
        {"intake_people_per_s": "people/s", "intake_cpu_s_per_1000": "CPU-s", "intake_peak_mb": "MB"},
        100_000,
        3,
        intake,
        is_large=True,
    ),
)
MOST_ROUNDS = max(run.rounds for run in RUNS)
# The middle value of such a key is the ratio of two medians.
RATIOS = {"sms_vs_floor": ("sms_accept_per_s", "floor_per_s")}
