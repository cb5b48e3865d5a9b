"""What Twilio refuses in a request to send, with its own codes."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
SERVICE = re.compile(r"MG[0-9a-fA-F]{32}\Z")
KNOWN = frozenset({"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod", "SmartEncoded"})
LONGEST_BODY, LONGEST_VALIDITY = 1600, 36_000

MEANING = {
    20001: "Unknown parameters",
    20003: "Authenticate",
    20004: "Method not allowed",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    20503: "Service unavailable",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Number",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    21603: "A 'From' or 'MessagingServiceSid' parameter is required",
    21604: "A 'To' phone number is required",
    21606: "The 'From' number is not a valid, message-capable Twilio phone number for this account",
    21609: "The 'StatusCallback' URL is not a valid URL",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    21612: "Message cannot be sent with the current combination of 'To' and/or 'From' parameters",
    21614: "'To' number is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21619: "A text message body or media urls must be specified",
    21624: "Invalid validity period value",
    21635: "'To' number cannot be a landline",
    21701: "The Messaging Service does not exist",
    21705: "The Messaging Service is invalid",
}


def fault(fields: Mapping[str, str], senders: tuple[str, ...]) -> int:
    """Twilio's code for the first thing that is wrong with a new message; 0 when nothing is."""
    sender, service = fields.get("From"), fields.get("MessagingServiceSid")
    validity = fields.get("ValidityPeriod", "1")
    rules = (
        (bool(fields.keys() - KNOWN), 20001),
        (not fields.get("To"), 21604),
        (not sender and not service, 21603),
        (bool(sender) and not E164.match(sender or ""), 21212),
        (bool(sender) and sender not in senders, 21606),
        (bool(service) and not SERVICE.match(service or ""), 21705),
        (bool(service) and service not in senders, 21701),
        (not fields.get("Body"), 21619),
        (len(fields.get("Body", "")) > LONGEST_BODY, 21617),
        (not validity.isdecimal() or not 1 <= int(validity[:6]) <= LONGEST_VALIDITY, 21624),
        (fields.get("SmartEncoded", "false") not in {"true", "false"}, 20001),
        (not is_callback(fields.get("StatusCallback")), 21609),
        (not E164.match(fields.get("To", "")), 21211),
    )
    return next((code for is_broken, code in rules if is_broken), 0)


def is_callback(url: str | None) -> bool:
    """True when Twilio would call it. No underscore in a host name, and no host without one."""
    if url is None:
        return True
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "_" not in (parts.hostname or "")
