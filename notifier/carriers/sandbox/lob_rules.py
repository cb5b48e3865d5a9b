"""What Lob refuses in a request to make a letter, with its own codes. The first thing that is wrong is told.

Parameters of the vendor's that we do not use (templates, cards, return envelopes, ...) are refused as unknown.
"""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO

import pikepdf

PARAMETER = re.compile(r"(to|from|metadata)\[([a-z_0-9]{1,40})\]\Z")
ADDRESS = frozenset(
    {
        "name",
        "company",
        "address_line1",
        "address_line2",
        "address_city",
        "address_state",
        "address_zip",
        "address_country",
    }
)
CHOICES = {
    "color": {"true", "false"},
    "double_sided": {"true", "false"},
    "use_type": {"marketing", "operational"},
    "address_placement": {"top_first_page", "insert_blank_page", "bottom_first_page", "bottom_first_page_center"},
    "mail_type": {"usps_first_class", "usps_standard"},
    "extra_service": {"certified", "certified_return_receipt", "registered"},
}
REQUIRED = ("to[address_line1]", "from[address_line1]", "color", "use_type")
CERTIFIED = frozenset({"certified", "certified_return_receipt"})
MOST_METADATA, LONGEST_METADATA = 20, 500
LARGEST_FILE, MOST_PAGES = 5_000_000, 120
PAGE = (612, 792)  # points: US letter

Fault = tuple[str, str]  # code, message


def fault(fields: Mapping[str, str], file: bytes | None) -> Fault | None:
    """The first thing that is wrong with a new letter; `file` is None where none was uploaded."""
    for faults in (_shape(fields), _choices(fields), _address("to", fields), _address("from", fields), _post(fields)):
        for found in faults:
            return found
    return ("invalid", "file is required") if file is None else file_fault(file)


def _shape(fields: Mapping[str, str]) -> Iterator[Fault]:
    for name in fields:
        match = PARAMETER.match(name)
        is_address = match is not None and match[1] != "metadata"
        if name not in CHOICES and (match is None or (is_address and match[2] not in ADDRESS)):
            yield "invalid", f"{name} is not allowed"
    for name in REQUIRED:
        if not fields.get(name):
            yield "invalid", f"{name} is required"
    metadata = {name: value for name, value in fields.items() if name.startswith("metadata[")}
    if len(metadata) > MOST_METADATA:
        yield "invalid", "metadata may have at most 20 pairs"
    if any(len(value) > LONGEST_METADATA or re.search(r'["\\]', value) for value in metadata.values()):
        yield "invalid", "metadata has a value that is too long, or a character that is not allowed"


def _choices(fields: Mapping[str, str]) -> Iterator[Fault]:
    for name, choices in CHOICES.items():
        if name in fields and fields[name] not in choices:
            yield "invalid", f"{name} must be one of {sorted(choices)}"


def _address(end: str, fields: Mapping[str, str]) -> Iterator[Fault]:
    part = {name: fields.get(f"{end}[{name}]", "") for name in ADDRESS}
    if not part["name"] and not part["company"]:
        yield "invalid", f"{end}: name or company is required"
    if max(len(part["name"]), len(part["company"])) > 40:  # noqa: PLR2004 - the vendor's number
        yield "invalid", f"{end}: name must be no longer than 40 characters"
    if part["address_country"] in {"", "US"}:
        yield from _us_address(end, part)
        return
    if end == "from":
        yield "foreign_return_address", "the from address must be a US address"
    if not re.fullmatch("[A-Z]{2}", part["address_country"]):
        yield "invalid", f"{end}.address_country is invalid"
    if max(len(part[name]) for name in ("address_line1", "address_line2", "address_city", "address_state")) > 200:  # noqa: PLR2004 - the vendor's number
        yield "invalid", f"{end}: a part of the address is too long"
    if len(part["address_zip"]) > 40:  # noqa: PLR2004 - the vendor's number
        yield "invalid", f"{end}.address_zip is too long"


def _us_address(end: str, part: Mapping[str, str]) -> Iterator[Fault]:
    one, two = len(part["address_line1"]), len(part["address_line2"])
    if max(one, two) > 64:  # noqa: PLR2004 - the vendor's number
        yield "invalid", f"{end}: a line must be no longer than 64 characters"
    if end == "to" and one + two > 50:  # noqa: PLR2004 - the vendor's number
        yield "address_length_exceeds_limit", "the sum of both lines cannot surpass 50 characters"
    if not part["address_city"] or len(part["address_city"]) > 200:  # noqa: PLR2004 - the vendor's number
        yield "invalid", f"{end}.address_city is required"
    if not re.fullmatch("[a-zA-Z]{2}", part["address_state"]):
        yield "invalid", f"{end}.address_state must be 2 letters"
    if not re.fullmatch("[0-9]{5}(-[0-9]{4})?", part["address_zip"]):
        yield "invalid", f"{end}.address_zip must be 12345 or 12345-1234"


def _post(fields: Mapping[str, str]) -> Iterator[Fault]:
    is_abroad = fields.get("to[address_country]", "US") != "US"
    service = fields.get("extra_service")
    if service and fields.get("mail_type") == "usps_standard":
        yield "invalid", "extra_service cannot be used with usps_standard"
    if (is_abroad and service in CERTIFIED) or (not is_abroad and service == "registered"):
        yield "invalid_international_feature", "the specified product cannot be sent to the destination"


def file_fault(content: bytes) -> Fault | None:
    """What is wrong with a file."""
    if len(content) > LARGEST_FILE:
        return "file_size_exceeds_limit", "the file is larger than 5 MB"
    try:
        with pikepdf.open(BytesIO(content)) as document:
            return next(_document(document), None)
    except pikepdf.PasswordError:
        return "pdf_encrypted", "the PDF is encrypted"
    except (pikepdf.PdfError, ValueError):
        return "invalid_file", "the file is invalid"


def _document(document: pikepdf.Pdf) -> Iterator[Fault]:
    sizes = {tuple(round(float(number)) for number in page.mediabox) for page in document.pages}
    if document.is_encrypted:
        yield "pdf_encrypted", "the PDF is encrypted"
    if not document.pages:
        yield "file_pages_below_min", "not enough pages"
    if len(document.pages) > MOST_PAGES:
        yield "file_pages_exceed_max", "too many pages"
    if len(sizes) > 1:
        yield "inconsistent_page_dimensions", "all pages must have the same dimensions"
    if any((right - left, top - bottom) != PAGE for left, bottom, right, top in sizes):
        yield "invalid_file_dimensions", "pages must be 8.5 x 11 inches"
    if any(not _is_embedded(font) for page in document.pages for font in page.resources.get("/Font", {}).values()):
        yield "unembedded_fonts", "the PDF contains fonts that are not embedded"


def _is_embedded(font: pikepdf.Object) -> bool:
    if font.get("/Subtype") == "/Type3":  # drawn in the file itself
        return True
    inner = font.get("/DescendantFonts", [font])[0] if font.get("/Subtype") == "/Type0" else font
    descriptor = inner.get("/FontDescriptor")
    return descriptor is not None and any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3"))
