"""Every problem this service answers with: one table, from which the answers and their pages at /problems/ are made.

A code never changes its meaning. `status` is that of HTTP; `help` says what whoever called can do about it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class ProblemType(NamedTuple):
    """What a code stands for."""

    status: int
    title: str
    help: str


P = ProblemType

PROBLEMS: Final[Mapping[str, ProblemType]] = MappingProxyType(
    {
        # The request as such
        "bad-request": P(400, "The request could not be understood", "Check the request against /docs."),
        "not-found": P(404, "There is nothing at this address", "Check the address against /docs."),
        "invalid-id": P(404, "The id in the address is not an id of ours", "Ids are UUIDs, as we gave them to you."),
        "method-not-allowed": P(405, "This method is not allowed here", "The Allow header lists those that are."),
        "unsupported-media-type": P(
            415, "This content type is not accepted here", "Send one of the content types that the answer names."
        ),
        "unsupported-encoding": P(415, "Compressed bodies are not accepted", "Leave Content-Encoding out."),
        "internal-error": P(
            500,
            "Something went wrong on our side",
            "Nothing was stored. Send the same request again with the same Idempotency-Key; if it happens again, tell"
            " us the request_id.",
        ),
        "unavailable": P(
            503, "The database cannot be reached", "Wait as Retry-After says and send it again with the same key."
        ),
        "storage-full": P(
            507,
            "There is no room on our disk",
            "Nothing was stored. Send it again with the same key once there is room.",
        ),
        "not-migrated": P(
            503, "The database is not ready", "Run `notifier migrate`: its schema is not the one of this code."
        ),
        # The body
        "empty-body": P(400, "The body is empty", "Send the document that /docs describes."),
        "body-incomplete": P(
            400, "The body ended before its end", "The connection broke off. Nothing was stored; send it again."
        ),
        "body-timeout": P(408, "The body did not come in time", "Nothing was stored; send it again."),
        "body-too-large": P(
            413,
            "The body is too long",
            "JSON documents may have 10 MB, lists as NDJSON or CSV 1 GB. Send a longer list in several parts.",
        ),
        "not-json": P(
            400, "The body is not JSON", "RFC 8259 is the rule, in UTF-8, with no member twice. `errors` says where."
        ),
        "not-utf8": P(400, "The list is not text in UTF-8", "Save it as UTF-8; a spreadsheet as CSV."),
        "malformed-list": P(400, "The list cannot be read", "`errors` says where reading stopped."),
        "invalid-body": P(422, "The body is not what is expected here", "`errors` points at each fault."),
        "not-a-list": P(422, "The document is not a list", "Send a JSON array, one object a person."),
        "empty-list": P(422, "There is nobody on the list", "Send at least one row."),
        "bad-header": P(
            422, "The first line of the CSV is wrong", "external_id and name are required; /docs lists the columns."
        ),
        "invalid-list": P(422, "Some rows of the list are wrong", "`errors` points at them. Nothing was stored."),
        "invalid-parameter": P(422, "A parameter is wrong", "`errors` names it; /docs lists what is allowed."),
        "invalid-cursor": P(422, "The cursor is not one of ours", "Use next_cursor of the page before as it is."),
        # Who calls
        "key-missing": P(
            401, "No API key was given", "Send `Authorization: Bearer ntf_...`. Your administrator makes keys."
        ),
        "invalid-key": P(
            401, "The API key is not valid", "It is unknown, revoked or expired. Ask your administrator for a new one."
        ),
        "scope-missing": P(403, "This key may not do that", "Use a key that has the scope which the detail names."),
        "mode-mismatch": P(403, "Test and live do not mix", "Use a key of the matter's own mode."),
        "personal-key-needed": P(
            403, "Only an officer may do that", "Use a personal key: a system's key may propose, read and hold."
        ),
        "second-officer-needed": P(
            403, "A second officer is needed", "Whoever entered the list cannot approve it. Ask another officer."
        ),
        "role-missing": P(403, "This officer may not do that", "Ask an officer whose role allows it."),
        "list-not-waiting": P(422, "A list that was named does not wait for approval", "Look at the matter's lists."),
        "nondisclosure-on-file": P(
            422,
            "Something on file may forbid telling",
            "A court order or a statute was entered with the demand. Nobody is told before counsel has settled it.",
        ),
        "channel-not-of-carrier": P(422, "This carrier serves another channel", "Name one of the two, or stop both."),
        "real-carrier-in-test-mode": P(
            422, "Test mode cannot use a real carrier", "Point the carrier's base URL at the sandbox."
        ),
        "not-from-here": P(403, "This is not shown to you", "It is answered on the machine itself only."),
        # Doing a thing once
        "idempotency-key-missing": P(
            400,
            "The Idempotency-Key header is missing",
            "Send a fresh random value with each new request, and the same one when you send a request again.",
        ),
        "idempotency-key-invalid": P(
            400, "The Idempotency-Key is not usable", "Use 1 to 255 visible ASCII characters, best a UUID."
        ),
        "idempotency-key-reused": P(
            422,
            "The Idempotency-Key was used for another request",
            "Use a fresh key for a new request. Nothing was stored.",
        ),
        "idempotency-key-in-progress": P(
            409, "The same request is being worked on", "Wait as Retry-After says and send it again."
        ),
        "overtaken": P(
            409, "Another request came first", "Nothing was stored. Send it again: the answer then says what is taken."
        ),
        "rate-limited": P(429, "Too many requests", "Wait as Retry-After says. RateLimit-Policy states the limit."),
        # Matters, people, notices
        "unknown-matter": P(404, "There is no such matter", "Matters of other agencies are never shown."),
        "unknown-person": P(404, "There is no such person", "People of other agencies are never shown."),
        "unknown-contact": P(404, "This person has no such contact point", "Look at the person's contacts."),
        "flag-not-for-this-contact": P(
            422,
            "This cannot be said of this contact point",
            "Only a phone takes no text messages; mail that came back is scanned in at the mailroom.",
        ),
        "unknown-task": P(404, "There is no such task", "Tasks of other agencies are never shown."),
        "task-already-done": P(
            409, "The task was finished before", "Somebody has said something else came of it. Look at its resolution."
        ),
        "unknown-notice": P(404, "There is no such notice", "Notices of other agencies are never shown."),
        "unknown-pack": P(422, "There is no such pack", "`notifier check` lists the packs that are installed."),
        "unknown-record-type": P(
            422, "There is no such record type", "config/record_types.toml lists them; `other` is one of them."
        ),
        "cannot-be-printed": P(
            422,
            "The letter cannot show all of this",
            "`errors` points at it: write it in the Latin, Greek or Cyrillic letters that the letter's font has.",
        ),
        "duplicate-matter": P(422, "This matter exists already", "Its external_id is in use in your agency."),
        "duplicate-external-id": P(
            422, "A person is in the list twice", "Each external_id stands once in a matter. Nothing was stored."
        ),
        "not-stopped": P(409, "Nothing is stopped here", "There is nothing to resume."),
        "unknown-stop": P(404, "There is no such stop in force here", "Look at the stops that are in force."),
        "stop-of-nothing": P(422, "It does not say what to stop", "Name a matter, a channel or a carrier."),
        "unknown-carrier": P(422, "There is no such carrier", "config/carriers.toml lists them."),
        "unknown-print-batch": P(
            404, "There is no such print batch", "Batches of other agencies are never shown; each has three files."
        ),
        "unknown-letter": P(404, "There is no such letter", "It was not written yet, or belongs to another agency."),
        "unknown-file": P(404, "There is no such file", "A print batch has a pdf, a manifest and totals."),
        "stopped": P(
            409,
            "A stop keeps letters of this batch back",
            "Put none of it in the post. Two officers can resume sending; what was mailed before is declared then.",
        ),
        "already-declared": P(409, "The batch was declared mailed before", "Look at its mailed_on."),
        "already-voided": P(409, "The batch was voided before", "Its letters are printed in another batch."),
        "batch-voided": P(409, "The batch was voided", "Its letters are printed in another batch: fetch that one."),
        "pieces-withdrawn": P(
            409,
            "Letters of the batch were withdrawn",
            "Its file still holds them. Mail what is printed and declare it, or void all of the batch.",
        ),
        "was-mailed": P(
            409,
            "It was in the post",
            "A letter of it has come back or was delivered, so it was not destroyed. Declare the batch mailed.",
        ),
        "not-in-batch": P(422, "A piece is not in this batch", "`errors` points at it. Nothing was withdrawn."),
        "unknown-place": P(
            422, "There is no such place of mailing", "Name one of the agency's: `notifier agency add --mailing-place`."
        ),
        "articles-wrong": P(
            422, "Some labels are wrong", "`errors` points at each scan to be made again. Nothing was declared."
        ),
        "articles-missing": P(
            422,
            "Certified letters lack their numbers",
            "Scan each letter together with its label, and send all of them.",
        ),
        "not-certified": P(422, "The letter is not a certified one", "Only certified letters have a receipt."),
        "impossible-delivery-day": P(
            422, "It cannot have been delivered on that day", "From the day it was mailed until today."
        ),
        "not-mailed": P(409, "Nobody has declared it mailed", "Declare its print batch mailed first."),
        "already-delivered": P(409, "That it was delivered is known", "Look at the person's timeline."),
        "already-returned": P(409, "This letter has come back", "What came back was not delivered."),
        "unreadable-scan": P(
            422,
            "Some lines cannot be read",
            "`errors` points at them: scan the 2D code, or type the fifteen digits again. Nothing was stored.",
        ),
        "impossible-mailing-day": P(
            422,
            "It cannot have been mailed on that day",
            "From the day it was closed until today, where the agency is.",
        ),
        "nothing-to-approve": P(422, "There is nothing to approve", "Every list of this matter is approved already."),
        # Carriers' callbacks
        "unknown-callback": P(
            404, "No carrier calls back here", "Check the callback address and the carrier's account."
        ),
        "callback-refused": P(403, "The callback was refused", "It is not proved to come from the carrier."),
    }
)

BY_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "bad-request",
        401: "invalid-key",
        403: "scope-missing",
        404: "not-found",
        405: "method-not-allowed",
        408: "body-timeout",
        413: "body-too-large",
        415: "unsupported-media-type",
        429: "rate-limited",
        500: "internal-error",
        503: "unavailable",
        507: "storage-full",
    }
)
"""The code for an error that the framework itself found."""
