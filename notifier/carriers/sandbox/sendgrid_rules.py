"""What SendGrid refuses in a request to send, with its own words for where. Everything it finds is told at once.

Parameters of the vendor's that we do not use (templates, attachments, cc, ...) are refused as unknown.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

MAILBOX = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}\Z")
TOP = frozenset({"personalizations", "from", "reply_to", "subject", "content", "custom_args", "tracking_settings"})
PERSON = frozenset({"to", "subject", "headers", "substitutions", "custom_args"})
RESERVED = frozenset(
    {
        *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
        *("to", "from", "subject", "reply-to", "cc", "bcc"),
    }
)
TRACKING = {
    "click_tracking": {"enable", "enable_text"},
    "open_tracking": {"enable"},
    "subscription_tracking": {"enable"},
    "ganalytics": {"enable"},
}
MOST_PEOPLE, MOST_BYTES = 1000, 10_000
ADDRESS = "Does not contain a valid address."

Fault = tuple[str, str | None]  # message, field


def faults(mail: object) -> list[Fault]:
    """Everything that is wrong; the vendor's parser gives up with a bare "Bad Request" where a type is wrong."""
    if not isinstance(mail, dict):
        return [("Bad Request", None)]
    try:
        return list(_all(mail))
    except (TypeError, AttributeError, KeyError, UnicodeEncodeError):
        return [("Bad Request", None)]


def _all(mail: Mapping[str, object]) -> Iterator[Fault]:
    yield from _unknown(mail, TOP, "")
    people = mail.get("personalizations")
    if not isinstance(people, list) or not people:
        yield "The personalizations field is required and must have at least one personalization.", "personalizations"
        people = []
    if len(people) > MOST_PEOPLE:
        yield "The personalization block is limited to 1000 personalizations per API request.", "personalizations"
    if sum(len(person.get("to") or ()) for person in people) > MOST_PEOPLE:
        yield "The total number of recipients must be no more than 1000.", "personalizations"
    shared = mail.get("custom_args") or {}
    for place, person in enumerate(people):
        yield from _person(person, f"personalizations.{place}", shared)
    yield from _mailbox(mail.get("from"), "from")
    if "reply_to" in mail:
        yield from _mailbox(mail["reply_to"], "reply_to")
    if not _is_text(mail.get("subject")) and not all(_is_text(person.get("subject")) for person in people):
        yield "The subject is required.", "subject"
    yield from _content(mail.get("content"))
    yield from _tracking(mail.get("tracking_settings", {}))
    yield from _strings(mail.get("custom_args"), "custom_args")


def _person(person: Mapping[str, object], at: str, shared: object) -> Iterator[Fault]:
    yield from _unknown(person, PERSON, f"{at}.")
    to = person.get("to")
    if not isinstance(to, list) or not to:
        yield "The to array is required for all personalization objects.", f"{at}.to"
        return
    for place, mailbox in enumerate(to):
        yield from _mailbox(mailbox, f"{at}.to.{place}")
    if len({str(mailbox.get("email")).casefold() for mailbox in to}) < len(to):
        yield "Each email address in the personalization block should be unique.", at
    if "subject" in person and not _is_text(person["subject"]):
        yield "The subject must be a string at least one character in length.", f"{at}.subject"
    yield from _strings(person.get("custom_args"), f"{at}.custom_args", shared)
    yield from _strings(person.get("substitutions"), f"{at}.substitutions")
    yield from _strings(person.get("headers"), f"{at}.headers")
    headers = person.get("headers")
    if isinstance(headers, dict) and any(name.lower() in RESERVED or not name.isascii() for name in headers):
        yield "A header is reserved, or not in ASCII.", f"{at}.headers"


def _mailbox(mailbox: object, at: str) -> Iterator[Fault]:
    if not isinstance(mailbox, dict):
        yield f"The {at} object must be provided and contain an email address.", at
        return
    yield from _unknown(mailbox, {"email", "name"}, f"{at}.")
    if not MAILBOX.match(mailbox["email"]):
        yield ADDRESS, f"{at}.email"
    if at != "from" and re.search("[;,]", mailbox.get("name", "")):
        yield "The name may not contain a comma or a semicolon.", f"{at}.name"


def _content(content: object) -> Iterator[Fault]:
    if not isinstance(content, list) or not content:
        yield "Unless a valid template_id is provided, the content parameter is required.", "content"
        return
    for place, part in enumerate(content):
        yield from _unknown(part, {"type", "value"}, f"content.{place}.")
        if not _is_text(part.get("value")):
            yield "The content value must be a string at least one character in length.", f"content.{place}.value"
    if [part.get("type") for part in content] not in (["text/plain"], ["text/html"], ["text/plain", "text/html"]):
        yield "If present, text/plain must be first, followed by text/html.", "content"


def _tracking(settings: object) -> Iterator[Fault]:
    if not isinstance(settings, dict):
        raise TypeError
    yield from _unknown(settings, TRACKING.keys(), "tracking_settings.")
    for name in settings.keys() & TRACKING.keys():
        yield from _unknown(settings[name], TRACKING[name], f"tracking_settings.{name}.")
        if any(type(value) is not bool for value in settings[name].values()):
            yield "The enable setting must be a boolean.", f"tracking_settings.{name}.enable"


def _strings(values: object, at: str, shared: object = MappingProxyType({})) -> Iterator[Fault]:
    """Faults of an object of strings; its size is that of what it is merged into."""
    if values is None:
        return
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise TypeError
    if not values:
        yield "The object may not be empty.", at
    merged = {**shared, **values} if isinstance(shared, Mapping) else values
    if sum(len(name.encode()) + len(value.encode()) for name, value in merged.items()) > MOST_BYTES:
        yield "The object is limited to 10000 bytes.", at


def _unknown(given: Mapping[str, object], known: Collection[str], at: str) -> Iterator[Fault]:
    for name in given:
        if name not in known:
            yield f"Additional property {name} is not allowed", f"{at}{name}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
