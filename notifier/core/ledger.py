"""The chain of events of one matter or agency: canonical bytes, hashes, commitments. Pure.

An event is stored once as its bytes and never serialised again; its hash is taken over those bytes:

    leaf hash  = SHA-256(0x00 || bytes)                                  RFC 6962, section 2.1
    commitment = HMAC-SHA256(salt, "notice-log/v1" 0x00 eid 0x00 field 0x00 value)

The bytes are RFC 8785 (JCS). The schema allows ASCII member names, strings, booleans, integers below 2^53, lists and
objects, and no floats and no null; within it `json.dumps` with sorted keys writes exactly those bytes.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from notifier.core.errors import LedgerError
from notifier.core.events import FORMAT_VERSION, REGISTRY, EventType, problems
from notifier.core.model import Actor, ActorKind

Json: TypeAlias = "str | bool | int | Sequence[Json] | Mapping[str, Json]"

MAX_EVENT_BYTES: Final = 8192
MAX_INTEGER: Final = 2**53 - 1
_COMMIT_PREFIX: Final = b"notice-log/v1\0"
_REQUIRED: Final = {
    "v": int,
    "eid": str,
    "type": str,
    "at": str,
    "mseq": int,
    "mprev": str,
    "actor": dict,
    "data": dict,
}
_OPTIONAL: Final = {"person": str, "etsi": str, "commit": dict}
_CHAIN: Final = {"matter": str, "agency": str}  # exactly one of them
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_AT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has its place in a chain.

    `commits` maps a field to the 32-byte commitment made with this event's id; `opening` is what opens them, sealed.
    """

    eid: UUID
    type: EventType
    actor: Actor
    data: Mapping[str, Json] = field(default_factory=dict)
    person: UUID | None = None
    commits: Mapping[str, bytes] = field(default_factory=dict)
    opening: bytes | None = None


class Prepared(NamedTuple):
    """An event written down but for its place: ids as 16 bytes, and the canonical bytes around the place.

    `actor` is the value of that member; `middle` holds the members "commit" to "etsi", `end` those from "person" on.
    """

    eid: bytes
    type: EventType
    person: bytes | None
    actor: bytes
    middle: bytes
    end: bytes
    opening: bytes | None


class Chained(NamedTuple):
    """An event in its place; its ids are 16 bytes."""

    eid: bytes
    seq: int
    type: EventType
    at: datetime
    person: bytes | None
    body: bytes
    leaf: bytes
    opening: bytes | None


def canonical(value: Json) -> bytes:
    """The RFC 8785 bytes of a value within the schema.

    Raises:
        LedgerError: a member that the schema does not allow.
    """
    _require_schema(value)
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        raise LedgerError("half of a surrogate pair") from None


def leaf_hash(body: bytes) -> bytes:
    """The 32-byte hash of an event's bytes."""
    return hashlib.sha256(b"\0" + body).digest()


def commitment(salt: bytes, eid: UUID | str, name: str, value: bytes) -> bytes:
    """The 32 bytes that stand in the ledger for a value that is kept sealed."""
    return hmac.digest(salt, b"%b%b\0%b\0%b" % (_COMMIT_PREFIX, str(eid).encode(), name.encode(), value), "sha256")


def timestamp(at: datetime) -> str:
    """UTC with microseconds and a Z.

    Raises:
        LedgerError: a naive time.
    """
    if at.tzinfo is None:
        raise LedgerError("a naive time")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def prepare(draft: Draft) -> Prepared:
    """Write a draft down as far as its place does not matter.

    Raises:
        LedgerError: a draft that the registry does not allow.
    """
    found = problems(draft.type, data=draft.data, commits=draft.commits, person=draft.person is not None)
    if found:
        raise LedgerError(f"{draft.type}: {'; '.join(found)}")
    spec = REGISTRY[draft.type]
    commits = ",".join(f'"{name}":"{draft.commits[name].hex()}"' for name in sorted(draft.commits))
    person = f'"person":"{draft.person}",' if draft.person is not None else ""
    return Prepared(
        eid=draft.eid.bytes,
        type=draft.type,
        person=draft.person.bytes if draft.person is not None else None,
        actor=actor_member(draft.actor),
        middle=b"".join(
            (
                f'"commit":{{{commits}}},'.encode() if commits else b"",
                b'"data":%b,' % canonical(draft.data),
                f'"eid":"{draft.eid}"'.encode(),
                f',"etsi":"{spec.etsi}"'.encode() if spec.etsi is not None else b"",
            )
        ),
        end=f'{person}"type":"{draft.type.value}","v":{FORMAT_VERSION}'.encode(),
        opening=draft.opening,
    )


@lru_cache(maxsize=256)
def actor_member(actor: Actor) -> bytes:
    """The canonical bytes of who did it."""
    return canonical({"kind": actor.kind.value, "id": actor.id})


def extend(
    events: Iterable[Draft | Prepared], *, chain: UUID, is_matter: bool, seq: int, head: bytes, at: datetime
) -> list[Chained]:
    """Give each event its place after `seq` events that end in `head` (b"" at the beginning).

    The members of an event's bytes stand in the order of RFC 8785: actor, agency, at, commit, data, eid, etsi, matter,
    mprev, mseq, person, type, v.

    Raises:
        LedgerError: a draft that the registry does not allow, or one over 8 KiB.
    """
    chained = []
    agency, matter = (b"", b'"matter":"%b",') if is_matter else (b'"agency":"%b",', b"")
    agency, matter = (member and member % str(chain).encode() for member in (agency, matter))
    before = b'%b"at":"%b",' % (agency, timestamp(at).encode())
    for event in events:
        eid, kind, person, actor, middle, end, opening = prepare(event) if isinstance(event, Draft) else event
        body = b'{"actor":%b,%b%b,%b"mprev":"%b","mseq":%d,%b}' % (
            *(actor, before, middle, matter),
            *(head.hex().encode(), seq, end),
        )
        if len(body) > MAX_EVENT_BYTES:
            raise LedgerError(f"{kind}: over {MAX_EVENT_BYTES} bytes")
        head = leaf_hash(body)
        chained.append(Chained(eid, seq, kind, at, person, body, head, opening))
        seq += 1
    return chained


def verify_chain(bodies: Iterable[bytes], *, chain: UUID) -> tuple[int, bytes]:
    """Walk the stored bytes of one chain from its beginning; returns (count, head).

    Checks, for each event: (1) its bytes are canonical; (2) it has the members that an event has, and no others;
    (3) the registry knows it; (4) it names this chain, the next number and the hash of the event before it; (5) it
    was not there before, and time does not go back by itself: `at` never decreases.

    Raises:
        LedgerError: any of these does not hold; the number of the event is in the text.
    """
    seq, head, last_at = 0, b"", ""
    seen: set[str] = set()
    for body in bodies:
        leaf = _parse(body, seq)  # (1)
        wrong = _misshapen(leaf)  # (2)
        if wrong:
            raise LedgerError(_at(seq, wrong))
        commits = leaf.get("commit", {})
        found = problems(leaf["type"], data=leaf["data"], commits=commits, person="person" in leaf)  # (3)
        if found or leaf["v"] != FORMAT_VERSION or leaf.get("etsi") != REGISTRY[EventType(leaf["type"])].etsi:
            raise LedgerError(_at(seq, "; ".join(found) or "not as the registry has it"))
        named = leaf.get("matter", leaf.get("agency"))  # (4)
        if named != str(chain) or leaf["mseq"] != seq or leaf["mprev"] != head.hex():
            raise LedgerError(_at(seq, "does not follow the event before it"))
        if leaf["eid"] in seen or leaf["at"] < last_at:  # (5)
            raise LedgerError(_at(seq, "is there twice, or earlier than the event before it"))
        seen.add(leaf["eid"])
        seq, head, last_at = seq + 1, leaf_hash(body), leaf["at"]
    return seq, head


def _at(seq: int, what: str) -> str:
    return f"event {seq}: {what}"


def _parse(body: bytes, seq: int) -> dict[str, Any]:
    """The event in these bytes, which must be its canonical ones."""
    try:
        leaf = json.loads(body)
        is_canonical = canonical(leaf) == body
    except LedgerError as error:
        raise LedgerError(_at(seq, str(error))) from None
    except (ValueError, RecursionError):
        raise LedgerError(_at(seq, "not JSON")) from None
    if not is_canonical or not isinstance(leaf, dict):
        raise LedgerError(_at(seq, "not canonical" if isinstance(leaf, dict) else "wrong shape"))
    return leaf


def _misshapen(leaf: Mapping[str, Any]) -> str:
    """What is wrong with an event's members; "" when nothing is. A boolean is no number here, unlike in Python."""
    kinds = _REQUIRED | _OPTIONAL | _CHAIN
    if not _REQUIRED.keys() <= leaf.keys() <= kinds.keys() or len(_CHAIN.keys() & leaf.keys()) != 1:
        return "a member is missing or unknown"
    if any(type(value) is not kinds[name] for name, value in leaf.items()):
        return "a member is of the wrong kind"
    actor, commits = leaf["actor"], leaf.get("commit", {"": "0" * 64})
    is_right = (
        all(_ID.match(leaf[name]) for name in ("eid", "person", "matter", "agency") if name in leaf)
        and _AT.match(leaf["at"]) is not None
        and actor.keys() == {"kind", "id"}
        and actor["kind"] in tuple(ActorKind)
        and isinstance(actor["id"], str)
        and bool(commits)
        and all(isinstance(value, str) and _SHA256.match(value) for value in commits.values())
    )
    return "" if is_right else "wrong shape"


def _require_schema(value: Json) -> None:
    if isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise LedgerError("an integer over 2^53 - 1")
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if not name.isascii():
                raise LedgerError("a member name that is not ASCII")
            _require_schema(member)
    elif isinstance(value, list | tuple):
        for member in value:
            _require_schema(member)
    else:
        raise LedgerError(f"a {type(value).__name__}")
