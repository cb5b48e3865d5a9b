"""The registry of every event type: the one list of what can be said in the ledger.

Each type names the members its `data` must and may have, the values it commits to (kept sealed, erasable), and the
event of ETSI EN 319 522-3 table 2 that it corresponds to, where there is one. Email, text messages and post are
carriers outside a registered delivery service, so their hand-over is `RelayToNonERDS`, never `delivered`.
A type or a member that is not here is refused on writing and on verifying. `data` holds ids, codes and counts only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

FORMAT_VERSION = 1


class EventType(StrEnum):
    """Everything that can happen, as the past tense of what happened."""

    # The agency and its staff (chain of the agency)
    AGENCY_CREATED = "agency.created"
    AGENCY_CHANGED = "agency.changed"
    OFFICER_ADDED = "officer.added"
    OFFICER_CHANGED = "officer.changed"
    OFFICER_REMOVED = "officer.removed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    KEK_ROTATED = "kek.rotated"
    PACK_APPROVED = "pack.approved"
    TEXT_APPROVED = "text.approved"
    PRINT_BATCH_CLOSED = "print_batch.closed"
    PRINT_BATCH_MAILED = "print_batch.mailed"
    PRINT_BATCH_VOIDED = "print_batch.voided"
    LOG_ANCHORED = "log.anchored"
    ALARM_RAISED = "alarm.raised"
    ALARM_CLEARED = "alarm.cleared"
    TASK_OPENED = "task.opened"
    TASK_DONE = "task.done"
    # The matter and its demand
    MATTER_CREATED = "matter.created"
    MATTER_CLOSED = "matter.closed"
    MATTER_CLOCK_ADVANCED = "matter.clock_advanced"
    DEMAND_RECEIVED = "demand.received"
    DEMAND_CLASSIFIED = "demand.classified"
    INSTRUMENT_STORED = "instrument.stored"
    INSTRUMENT_REDACTED = "instrument.redacted"
    BASIS_DECIDED = "basis.decided"
    PACKS_BOUND = "packs.bound"
    PACKS_REBASED = "packs.rebased"
    TARGET_LISTED = "target.listed"
    TARGET_ATTESTED = "target.attested"
    LINEAGE_LINKED = "lineage.linked"
    CLOCK_COMPUTED = "clock.computed"
    DEADLINE_NEAR = "deadline.near"
    # The list
    LIST_RECEIVED = "list.received"
    LIST_COUNT_ATTESTED = "list.count_attested"
    ROW_REJECTED = "row.rejected"
    PERSON_LISTED = "person.listed"
    PERSON_MATCHED = "person.matched"
    PERSON_NONHIT = "person.nonhit"
    PERSON_MERGED = "person.merged"
    PERSON_SPLIT = "person.split"
    PERSON_CORRECTED = "person.corrected"
    RECIPIENT_NAMED = "recipient.named"
    CONTACT_ADDED = "contact.added"
    CONTACT_FLAGGED = "contact.flagged"
    CONTACT_FLAG_LIFTED = "contact.flag_lifted"
    SEARCH_PERFORMED = "search.performed"
    JOINT_RECORD_NAMED = "joint_record.named"
    # Telling
    SENDING_APPROVED = "sending.approved"
    STOP_PLACED = "stop.placed"
    STOP_LIFT_PROPOSED = "stop.lift_proposed"
    STOP_LIFTED = "stop.lifted"
    NOTICE_ORDERED = "notice.ordered"
    NOTICE_VIEWED = "notice.viewed"
    NOTICE_ACKNOWLEDGED = "notice.acknowledged"
    ATTEMPT_ORDERED = "attempt.ordered"
    ATTEMPT_COMPOSED = "attempt.composed"
    ATTEMPT_HANDED_OVER = "attempt.handed_over"
    ATTEMPT_NOT_SENT = "attempt.not_sent"
    ATTEMPT_LOST_TRACK = "attempt.lost_track"
    ATTEMPT_REFUSED = "attempt.refused"
    ATTEMPT_ACCEPTED = "attempt.accepted"
    ATTEMPT_ARRIVED = "attempt.arrived"
    ATTEMPT_BOUNCED = "attempt.bounced"
    ATTEMPT_CAME_BACK = "attempt.came_back"
    ATTEMPT_WENT_SILENT = "attempt.went_silent"
    ATTEMPT_CANCELLED = "attempt.cancelled"
    ATTEMPT_WITHDRAWN = "attempt.withdrawn"
    INBOUND_RECEIVED = "inbound.received"
    RECEIPT_IGNORED = "receipt.ignored"
    DECLARATION_SIGNED = "declaration.signed"
    # Nondisclosure and orders
    NONDISCLOSURE_ENTERED = "nondisclosure.entered"
    NONDISCLOSURE_CONFIRMED = "nondisclosure.confirmed"
    NONDISCLOSURE_LAPSED = "nondisclosure.lapsed"
    NONDISCLOSURE_EXPIRED = "nondisclosure.expired"
    ORDER_FILED = "order.filed"
    ORDER_CONFIRMED = "order.confirmed"
    # Service and the window
    SERVICE_REACHED = "service.reached"
    SERVICE_DEFEATED = "service.defeated"
    SERVICE_EXHAUSTED = "service.exhausted"
    WINDOW_OPENED = "window.opened"
    WINDOW_EXTENDED = "window.extended"
    WINDOW_CLOSED = "window.closed"
    TRAYS_ATTESTED = "trays.attested"
    # The person's answer
    RESPONSE_RECEIVED = "response.received"
    RESPONSE_CLASSED = "response.classed"
    OBJECTION_RECEIVED = "objection.received"
    OBJECTION_DECIDED = "objection.decided"
    OBJECTION_WITHDRAWN = "objection.withdrawn"
    APPEARANCE_ENTERED = "appearance.entered"
    WAIVER_GIVEN = "waiver.given"
    # Holding and releasing
    HOLD_PLACED = "hold.placed"
    HOLD_LIFTED = "hold.lifted"
    CONSCIENCE_STOP_PLACED = "conscience_stop.placed"
    RELEASE_PROPOSED = "release.proposed"
    RELEASE_CONFIRMED = "release.confirmed"
    RELEASE_CLEARED = "release.cleared"
    RELEASE_REFUSED = "release.refused"
    RELEASE_REVOKED = "release.revoked"
    RELEASE_HANDED_OVER = "release.handed_over"
    RELEASE_REPORTED = "release.reported"
    NOTHING_GIVEN_ATTESTED = "nothing_given.attested"
    # Afterwards
    EXPORT_MADE = "export.made"
    LEGAL_HOLD_SET = "legal_hold.set"
    LEGAL_HOLD_LIFTED = "legal_hold.lifted"
    ERASURE_PERFORMED = "erasure.performed"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """What an event of one type may hold. `about_person`: it must name a person."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    commits: frozenset[str] = frozenset()
    etsi: str | None = None
    about_person: bool = False


def _spec(
    must: str = "", may: str = "", *, commits: str = "", etsi: str | None = None, about_person: bool = False
) -> EventSpec:
    return EventSpec(frozenset(must.split()), frozenset(may.split()), frozenset(commits.split()), etsi, about_person)


def _about_attempt(may: str = "", *, commits: str = "", etsi: str | None = None) -> EventSpec:
    return _spec(
        "attempt",
        "carrier carrier_ref carrier_code duplicate_possible reason receipt occurred_at status " + may,
        commits=commits,
        etsi=etsi,
        about_person=True,
    )


def _carriers_word(may: str = "", *, etsi: str | None = None) -> EventSpec:
    return _about_attempt(may, commits="receipt", etsi=etsi)


T = EventType

REGISTRY: Mapping[EventType, EventSpec] = MappingProxyType(
    {
        T.AGENCY_CREATED: _spec("zone"),
        T.AGENCY_CHANGED: _spec("fields"),
        T.OFFICER_ADDED: _spec("officer roles"),
        T.OFFICER_CHANGED: _spec("officer roles"),
        T.OFFICER_REMOVED: _spec("officer"),
        T.KEY_CREATED: _spec("key kind mode officer scopes", "expires_at"),
        T.KEY_REVOKED: _spec("key"),
        T.KEK_ROTATED: _spec("from to rewrapped"),
        T.PACK_APPROVED: _spec("pack sha256"),
        T.TEXT_APPROVED: _spec("edition tag sha256", "qualification reviewer"),
        T.PRINT_BATCH_CLOSED: _spec("batch mode pieces sheets", "service", commits="pdf manifest"),
        T.PRINT_BATCH_MAILED: _spec("batch mailed_on pieces", "service place withdrawn"),
        T.LOG_ANCHORED: _spec("size root"),
        T.PRINT_BATCH_VOIDED: _spec("batch pieces", "left"),
        T.ALARM_RAISED: _spec("alarm", "count due carrier batch"),
        T.ALARM_CLEARED: _spec("alarm", "carrier batch"),
        T.TASK_OPENED: _spec("task kind about due"),
        T.TASK_DONE: _spec("task resolution"),
        T.MATTER_CREATED: _spec("mode edition lineage", commits="external_id"),
        T.MATTER_CLOSED: _spec("outcome"),
        T.MATTER_CLOCK_ADVANCED: _spec("seconds"),
        T.DEMAND_RECEIVED: _spec(
            "demand instrument issuer_class judge_signed nondisclosure received_on record_types already_released",
            "return_date",
            commits="demand",
        ),
        T.DEMAND_CLASSIFIED: _spec("demand"),
        T.INSTRUMENT_STORED: _spec("blob pages", commits="file"),
        T.INSTRUMENT_REDACTED: _spec("blob pages checked_by", commits="file"),
        T.BASIS_DECIDED: _spec("basis lawful"),
        T.PACKS_BOUND: _spec("packs"),
        T.PACKS_REBASED: _spec("packs"),
        T.TARGET_LISTED: _spec("target kind", commits="target"),
        T.TARGET_ATTESTED: _spec("target persons"),
        T.LINEAGE_LINKED: _spec("lineage matters"),
        T.CLOCK_COMPUTED: _spec("person act_by not_before", "trace", about_person=True),
        T.DEADLINE_NEAR: _spec("deadline days"),
        T.LIST_RECEIVED: _spec("list rows persons format", commits="body"),
        T.LIST_COUNT_ATTESTED: _spec("list rows"),
        T.ROW_REJECTED: _spec("list row reason"),
        T.PERSON_LISTED: _spec("list row recipient contacts", commits="person", about_person=True),
        T.PERSON_MATCHED: _spec("decision", about_person=True),
        T.PERSON_NONHIT: _spec("list row", commits="row"),
        T.PERSON_MERGED: _spec("into", about_person=True),
        T.PERSON_SPLIT: _spec("into", about_person=True),
        T.PERSON_CORRECTED: _spec("fields", commits="person", about_person=True),
        T.RECIPIENT_NAMED: _spec("recipient role", commits="recipient", about_person=True),
        T.CONTACT_ADDED: _spec("contact kind", "problem source", commits="contact", about_person=True),
        T.CONTACT_FLAGGED: _spec("contact flag", "source", about_person=True),
        T.CONTACT_FLAG_LIFTED: _spec("contact flag", "source", about_person=True),
        T.SEARCH_PERFORMED: _spec("search outcome", about_person=True),
        T.JOINT_RECORD_NAMED: _spec("record persons"),
        T.SENDING_APPROVED: _spec("persons attempts unreachable alone", "edition"),
        T.STOP_PLACED: _spec("stop scope", "channel carrier reason"),
        T.STOP_LIFT_PROPOSED: _spec("stop"),
        T.STOP_LIFTED: _spec("stop proposed_by"),
        T.NOTICE_ORDERED: _spec("notice kind recipient edition attempts", about_person=True),
        T.NOTICE_VIEWED: _spec("notice", etsi="ContentHandover", about_person=True),
        T.NOTICE_ACKNOWLEDGED: _spec("notice", etsi="ConsignmentAcceptance", about_person=True),
        T.ATTEMPT_ORDERED: _spec(
            "attempt notice channel contact", "linked_from duplicate_possible plan_row service due", about_person=True
        ),
        T.ATTEMPT_COMPOSED: _about_attempt("pages sheets blob edition", commits="text"),
        T.ATTEMPT_HANDED_OVER: _about_attempt("batch edition found_by", commits="text receipt", etsi="RelayToNonERDS"),
        T.ATTEMPT_NOT_SENT: _about_attempt("tries retry_at found_by"),
        T.ATTEMPT_LOST_TRACK: _about_attempt("edition", commits="text"),
        T.ATTEMPT_REFUSED: _carriers_word("found_by", etsi="RelayToNonERDSFailure"),
        T.ATTEMPT_ACCEPTED: _carriers_word("batch mailed_on found_by article", etsi="RelayToNonERDS"),
        T.ATTEMPT_ARRIVED: _carriers_word("found_by delivered_on signature article", etsi="RelayToNonERDS"),
        T.ATTEMPT_BOUNCED: _carriers_word(etsi="RelayToNonERDSFailure"),
        T.ATTEMPT_CAME_BACK: _carriers_word("usps_reason returned_on forwarded_to", etsi="RelayToNonERDSFailure"),
        T.ATTEMPT_WENT_SILENT: _about_attempt(etsi="RelayToNonERDSFailure"),
        T.ATTEMPT_CANCELLED: _about_attempt("stop"),
        T.ATTEMPT_WITHDRAWN: _about_attempt("batch"),
        T.INBOUND_RECEIVED: _spec("inbound kind carrier contact", commits="message", about_person=True),
        T.RECEIPT_IGNORED: _carriers_word("word usps_reason returned_on forwarded_to mailed_on article"),
        T.DECLARATION_SIGNED: _spec("declaration", commits="document"),
        T.NONDISCLOSURE_ENTERED: _spec("order kind", "until", about_person=True),
        T.NONDISCLOSURE_CONFIRMED: _spec("order", about_person=True),
        T.NONDISCLOSURE_LAPSED: _spec("order", about_person=True),
        T.NONDISCLOSURE_EXPIRED: _spec("order", about_person=True),
        T.ORDER_FILED: _spec("order effect scope", "final", commits="order"),
        T.ORDER_CONFIRMED: _spec("order"),
        T.SERVICE_REACHED: _spec("notice rule evidence", about_person=True),
        T.SERVICE_DEFEATED: _spec("notice rule evidence", about_person=True),
        T.SERVICE_EXHAUSTED: _spec("notice", about_person=True),
        T.WINDOW_OPENED: _spec("act_by not_before", about_person=True),
        T.WINDOW_EXTENDED: _spec("not_before reason", about_person=True),
        T.WINDOW_CLOSED: _spec(etsi="AcceptanceRejectionExpiry", about_person=True),
        T.TRAYS_ATTESTED: _spec("trays until"),
        T.RESPONSE_RECEIVED: _spec("response way", "kind", commits="response"),
        T.RESPONSE_CLASSED: _spec("response class"),
        T.OBJECTION_RECEIVED: _spec("response", about_person=True, etsi="ConsignmentRejection"),
        T.OBJECTION_DECIDED: _spec("response decision", about_person=True),
        T.OBJECTION_WITHDRAWN: _spec("response", about_person=True),
        T.APPEARANCE_ENTERED: _spec("appearance persons", commits="counsel"),
        T.WAIVER_GIVEN: _spec("waiver", about_person=True),
        T.HOLD_PLACED: _spec("hold reason", "scope"),
        T.HOLD_LIFTED: _spec("hold reason"),
        T.CONSCIENCE_STOP_PLACED: _spec("hold until"),
        T.RELEASE_PROPOSED: _spec("release file_sha256 pairs"),
        T.RELEASE_CONFIRMED: _spec("release as"),
        T.RELEASE_CLEARED: _spec("release certificate_sha256"),
        T.RELEASE_REFUSED: _spec("release reasons"),
        T.RELEASE_REVOKED: _spec("release reason"),
        T.RELEASE_HANDED_OVER: _spec("release"),
        T.RELEASE_REPORTED: _spec("release on"),
        T.NOTHING_GIVEN_ATTESTED: _spec("on"),
        T.EXPORT_MADE: _spec("export purpose"),
        T.LEGAL_HOLD_SET: _spec("hold"),
        T.LEGAL_HOLD_LIFTED: _spec("hold"),
        T.ERASURE_PERFORMED: _spec("scope phase", about_person=True),
    }
)


def problems(event_type: str, *, data: Mapping[str, object], commits: Mapping[str, object], person: bool) -> list[str]:
    """What keeps an event from being well-formed; empty when it is. Names members, never values."""
    try:
        spec = REGISTRY[EventType(event_type)]
    except ValueError:
        return ["unknown type"]
    found = [f"missing member {name}" for name in sorted(spec.must - data.keys())]
    found += [f"unknown member {name}" for name in sorted(data.keys() - spec.must - spec.may)]
    found += [f"unknown commitment {name}" for name in sorted(commits.keys() - spec.commits)]
    if spec.about_person and not person:
        found.append("no person")
    return found
