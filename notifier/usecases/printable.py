"""What is printed on everybody's notice is tried when it is entered, so that no letter fails for it afterwards."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from notifier.core.codes import from_digits
from notifier.core.errors import Finding, Invalid, MissingText
from notifier.core.language import ENGLISH
from notifier.core.model import Demand, Instrument, JudgeSigned, Mode
from notifier.render.content import NoticeContent
from notifier.render.renderer import Addressee, Renderer
from notifier.usecases.profile import AgencyProfile

SEGMENTS: Final = 2  # parts of a text message at most: a longer one is cut by some networks
SOMEBODY: Final = Addressee("Sample Person", ("1 Example Street", "DENVER CO 80201"))


def require_printable_demand(demand: Demand, *, renderer: Renderer) -> None:
    """Refuse a demand whose issuer or number no letter could show.

    Raises:
        Invalid: `cannot-be-printed`, with a finding for each.
    """
    _refuse(_unprintable({"/demand/issuer": demand.issuer, "/demand/number": demand.number}, renderer))


def require_printable_agency(name: str, profile: AgencyProfile, *, renderer: Renderer) -> None:
    """Refuse what an agency says of itself when no letter or text message could say it.

    (1) a character without a glyph; (2) a return address that its window cannot hold; (3) a name that makes the text
    message longer than two parts in some language.

    Raises:
        Invalid: `cannot-be-printed`, with a finding for each.
    """
    printed = {"/name": name, "/help_phone": profile.help_phone, "/main_phone": profile.main_phone}
    printed |= {f"/return_address/{number}": line for number, line in enumerate(profile.return_address)}
    printed |= {f"/legal_help/{number}": line for number, line in enumerate(profile.legal_help)}
    _refuse(_unprintable(printed, renderer))  # (1)
    notice = _sample(name, profile)
    try:  # (2)
        renderer.letter(notice, SOMEBODY, languages=[ENGLISH], tagline_sheet=False, piece_id="0" * 32)
    except MissingText:
        _refuse([Finding("/return_address", "does_not_fit", "does not fit the window of an envelope")])
    if any(renderer.sms(notice, tag).segments.segments > SEGMENTS for tag in renderer.available_languages()):  # (3)
        what = f"makes the text message longer than {SEGMENTS} parts: give a shorter name, without accents if need be"
        _refuse([Finding("/name", "too_long", what)])


def _unprintable(printed: dict[str, str], renderer: Renderer) -> Iterator[Finding]:
    if renderer.is_printable(*printed.values()):
        return
    for pointer, text in printed.items():
        if not renderer.is_printable(text):
            yield Finding(pointer, "no_glyph", "has a character that no font of the letter has")


def _refuse(findings: Iterable[Finding]) -> None:
    found = list(findings)
    if found:
        raise Invalid("cannot-be-printed", "The letter cannot show all of it. Nothing was stored.", found)


def _sample(name: str, profile: AgencyProfile) -> NoticeContent:
    return NoticeContent(
        mode=Mode.TEST,
        letter_date=date(2000, 1, 1),
        agency_name=name,
        return_address=profile.return_address,
        help_phone=profile.help_phone,
        phone_hours=profile.hours,
        main_phone=profile.main_phone,
        interpreter_on_file=profile.interpreter_on_file,
        other_formats_on_file=profile.other_formats_on_file,
        legal_help=profile.legal_help,
        instrument=Instrument.ADMIN_SUBPOENA,
        judge_signed=JudgeSigned.NOT_SURE,
        record_types=(),
        code=from_digits("0" * 10),
        issuer="Example Office",
    )
