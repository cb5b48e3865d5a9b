"""The account at the end: everybody in one outcome, the ledger unbroken, the sandbox's record equal to ours.

(1) rows in = people found = the sum of the outcomes; (2) nobody is still being told: all is said, or the carrier itself
does not know; whoever was not reached, or perhaps not, has a task that waits for a caseworker; (3) every message that
the sandbox took is one attempt of ours, and every attempt that we call handed over was taken exactly once; (4) every
receipt that it posted is stored, and no other; (5) both chains of the ledger hold.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from notifier.core.errors import LedgerError, NotFound
from notifier.core.status import PersonOutcome
from notifier.demo.house import House
from notifier.demo.office import Office
from notifier.store.ledger import verify
from notifier.usecases.inspection import receipt_words
from notifier.usecases.office import Thing, find_agency

PAGE: Final = 500
BY_WIRE: Final = frozenset({"sms", "email"})
AT_THE_END: Final = frozenset(
    {
        PersonOutcome.UNREACHABLE,
        PersonOutcome.UNCERTAIN,
        PersonOutcome.DELIVERED,
        PersonOutcome.NO_WORD,
        PersonOutcome.NOT_REACHED,
    }
)
NEEDS_A_HUMAN: Final = frozenset({PersonOutcome.UNREACHABLE, PersonOutcome.UNCERTAIN, PersonOutcome.NOT_REACHED})
NEXT: Final[Mapping[PersonOutcome, str]] = {
    PersonOutcome.UNREACHABLE: "a caseworker finds a way",
    PersonOutcome.AWAITING_APPROVAL: "a second officer approves",
    PersonOutcome.STOPPED: "two officers resume sending",
    PersonOutcome.IN_PROGRESS: "the message is handed over",
    PersonOutcome.ON_ITS_WAY: "the carrier speaks, or is silent",
    PersonOutcome.UNCERTAIN: "the carrier is asked what became of it",
    PersonOutcome.DELIVERED: "wait for an answer",
    PersonOutcome.NO_WORD: "wait for an answer",
    PersonOutcome.NOT_REACHED: "a caseworker finds another way",
}


@dataclass(frozen=True, slots=True)
class Account:
    """Each person as the API shows them, the open tasks, the sums, and what is wrong (nothing, when all is well)."""

    people: Sequence[Mapping[str, Any]] = field(repr=False)
    tasks: Sequence[Mapping[str, Any]]
    outcomes: Mapping[PersonOutcome, int]
    messages: int
    receipts: int
    events: int
    problems: tuple[str, ...]


def take_account(house: House, office: Office, matter_id: UUID, *, rows: int) -> Account:
    """Compare everything with everything. `rows` is how many were sent in."""
    people = [office.machine.get(f"/v1/people/{line['person_id']}") for line in _lines(office, matter_id)]
    outcomes = Counter(PersonOutcome(person["outcome"]) for person in people)
    record = house.sandbox_lines()
    taken = [line["attempt"] for line in record if line["kind"] == "taken"]
    own = [each for each in taken if not _is_of_another(house, office, each)]
    tasks = office.machine.get(f"/v1/tasks?matter={matter_id}&limit={PAGE}")["tasks"]
    problems = [*_people(people, outcomes, rows), *_helped(people, tasks), *_messages(people, own)]
    with house.db.transaction(office.agency_id) as tx:
        stored = {(str(attempt_id), word) for attempt_id, word in receipt_words(tx, matter_id)}
        try:
            events = verify(tx, matter_id) + verify(tx, office.agency_id)
        except LedgerError as error:
            events = 0
            problems.append(f"the ledger does not hold: {error}")
    problems += _receipts(people, record, stored)
    return Account(people, tasks, outcomes, len(own), len(stored), events, tuple(problems))


def attempts_of(person: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every attempt to reach a person."""
    return [attempt for notice in person["notices"] for attempt in notice["attempts"]]


def next_step(person: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]]) -> str:
    """What happens next, and by when: what waits for a caseworker stands first."""
    mine = [task for task in tasks if task["person_id"] == person["person_id"]]
    if mine:
        kinds = ", ".join(dict.fromkeys(task["kind"] for task in mine))
        return f"a caseworker: {kinds} by {mine[0]['due_at'][:10]}"
    due = f" by {person['next_at'][:10]}" if person["next_at"] else ""
    return NEXT[PersonOutcome(person["outcome"])] + due


def _lines(office: Office, matter_id: UUID) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = office.machine.get(f"/v1/matters/{matter_id}/people?limit={PAGE}{cursor}")
        yield from page["people"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def _people(people: Sequence[Mapping[str, Any]], outcomes: Mapping[PersonOutcome, int], rows: int) -> Iterator[str]:
    if not rows == len(people) == sum(outcomes.values()):
        yield f"{rows} rows went in, {len(people)} people were found"
    for person in people:
        if person["outcome"] not in AT_THE_END:
            yield f"{person['external_id']} is not at an end: {person['outcome']}"


def _helped(people: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    has_task = {task["person_id"] for task in tasks}
    for person in people:
        if person["outcome"] in NEEDS_A_HUMAN and person["person_id"] not in has_task:
            yield f"{person['external_id']} is {person['outcome']}, and no caseworker is told"


def _is_of_another(house: House, office: Office, attempt_id: str) -> bool:
    """Whether it was left over by an earlier demonstration in the same database."""
    try:
        return find_agency(house.db, Thing.ATTEMPT, UUID(attempt_id)) != office.agency_id
    except NotFound:
        return False


def _messages(people: Sequence[Mapping[str, Any]], own: Iterable[str]) -> Iterator[str]:
    taken = Counter(own)
    ours = {each["attempt_id"]: each for person in people for each in attempts_of(person) if each["channel"] in BY_WIRE}
    sent = {attempt_id for attempt_id, each in ours.items() if each["handed_over_at"]}
    unknown = {attempt_id for attempt_id, each in ours.items() if each["status"] == "unknown"}
    yield from (f"attempt {each} was taken {count} times" for each, count in taken.items() if count > 1)
    yield from (f"attempt {each} is handed over, and the sandbox has no such message" for each in sent - taken.keys())
    yield from (f"attempt {each} was taken, and we do not know it" for each in taken.keys() - sent - unknown)


def _receipts(
    people: Sequence[Mapping[str, Any]], record: Iterable[Mapping[str, Any]], stored: set[tuple[str, str]]
) -> Iterator[str]:
    ours = {each["attempt_id"] for person in people for each in attempts_of(person)}
    posted = {
        (line["attempt"], line["word"])
        for line in record
        if line["kind"] == "receipt" and line["attempt"] in ours and 200 <= line["http"] < 300  # noqa: PLR2004 # HTTP's
    }
    yield from (f"receipt {word} of attempt {each} was posted and is not stored" for each, word in posted - stored)
    yield from (f"receipt {word} of attempt {each} is stored and was not posted" for each, word in stored - posted)
