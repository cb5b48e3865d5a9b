"""The people of the demonstration, all made up: one for each thing that can happen to a message.

Numbers (NXX 555-01xx) and mailboxes (example.com) are set aside for fiction; which one gets which outcome is the
sandbox's rule (`notifier/carriers/sandbox/magic.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SPANISH: Final = "es-419"
PHONE_CODES: Final = (303, 719, 720, 970)
STREETS: Final = ("Example Avenue", "Sample Street", "Specimen Way", "Placeholder Road")
CITIES: Final = (("Denver", "80203"), ("Pueblo", "81003"), ("Greeley", "80631"), ("Durango", "81301"))


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A person who does not exist: the row that is sent, and what is to be seen with it."""

    story: str
    row: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Sketch:
    """`phone` is the number's last two digits; `mail` the first word of the mailbox; `home` a place in the lists."""

    name: str
    story: str
    language: str | None = "en"
    phone: int | None = None
    mail: str | None = None
    home: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    contacts: tuple[Mapping[str, Any], ...] = ()


_MEXICO: Final = {
    "lines": ["Calle Ejemplo 12"],
    "city": "Guadalajara",
    "region": "Jal.",
    "postal_code": "44100",
    "country": "MX",
}
_HOUSEHOLD: Final = {"lines": ["9 Example Avenue"], "city": "Denver", "region": "CO", "postal_code": "80203"}
_AT_HOUSEHOLD: Final = {"kind": "post", "address": _HOUSEHOLD}
_NO_CITY: Final = {"kind": "post", "address": {"lines": ["7 Nowhere Lane"], "region": "CO", "postal_code": "80203"}}

_SKETCHES: Final = (
    _Sketch("María Ejemplo Muestra", "Spanish; everything arrives", SPANISH, phone=1, mail="delivered", home=0),
    _Sketch("Jordan Q. Sample", "English; everything arrives", phone=2, mail="delivered", home=1),
    _Sketch("Alex Specimen", "phone switched off", phone=50),
    _Sketch("Rosa Modelo", "phone blocks us; the email arrives", SPANISH, phone=51, mail="delivered"),
    _Sketch("Chris Placeholder", "number out of use; a letter goes too", phone=52, home=2),
    _Sketch("Luis Prueba", "landline behind the number; the email bounces", SPANISH, phone=53, mail="bounced"),
    _Sketch("Taylor Example", "held to be spam by a network", phone=54),
    _Sketch("Ana Ficticia", "the carrier does not know why", SPANISH, phone=55),
    _Sketch("Morgan Test", "not delivered in its time", phone=56),
    _Sketch("Sam Dummy", "the carrier's queue is full", phone=57),
    _Sketch("Elena Supuesta", "our sender is not registered there", SPANISH, phone=58),
    _Sketch("Robin Fixture", "a network gave up waiting", phone=59),
    _Sketch("Pat Invented", "refused at once: no such number", phone=60),
    _Sketch("Carmen Inventada", "refused at once: a landline; a letter goes too", SPANISH, phone=61, home=3),
    _Sketch("Jamie Mockup", "wrote STOP earlier; the email arrives", phone=62, mail="delivered"),
    _Sketch("Casey Imaginary", "writes STOP back; the letters go on", phone=87, home=0),
    _Sketch("Pedro Imaginario", "429 first, then fine", SPANISH, phone=74),
    _Sketch("Drew Hypothetical", "no answer in time, yet it was sent", phone=72),
    _Sketch("Lucía Hipotética", "no answer in time, and nobody knows", SPANISH, phone=73),
    _Sketch("Avery Notional", "500: nobody knows", phone=76),
    _Sketch("Quinn Makebelieve", "503, yet it was sent", phone=77),
    _Sketch("Marta Irreal", "delivered, then contradicted", SPANISH, phone=83),
    _Sketch("Reese Nominal", "no receipt ever", phone=71),
    _Sketch("Dana Figment", "the mailbox bounces", mail="bounced"),
    _Sketch("Sofía Figurada", "delivered, then bounced after all", SPANISH, mail="delivered-then-bounced"),
    _Sketch("Jessie Fabricated", "the mail server blocks us", mail="blocked"),
    _Sketch("Blake Theoretical", "on the carrier's list of dead mailboxes", mail="dropped"),
    _Sketch("Inés Teórica", "unsubscribed earlier", SPANISH, mail="dropped-unsubscribed"),
    _Sketch("Rowan Virtual", "refused at once: no such mailbox", mail="invalid"),
    _Sketch("Skyler Pretend", "deferred, then delivered", mail="deferred"),
    _Sketch("Diego Simulado", "processed, then no word", SPANISH, mail="processed"),
    _Sketch("Emerson Blank", "no phone, no email, no address"),
    _Sketch(
        "Kai Halfway",
        "a number that is none, kept and shown; the email arrives",
        mail="delivered",
        contacts=({"kind": "phone", "value": "555-01"},),
    ),
    _Sketch("Noel Nowhere", "an address without a city, and nothing else", contacts=(_NO_CITY,)),
    _Sketch(
        "Almaz Mesale",
        "Amharic: no text yet, so English, Spanish and the sheet of languages",
        "am",
        phone=3,
        home=1,
        more={"native_name": "አልማዝ ምሳሌ"},
    ),
    _Sketch("Unknown Tongue", "language not known", None, home=2),
    _Sketch("Frances Paper", "letter only", home=3),
    _Sketch("Guadalupe Lejana", "lives abroad; letter only", SPANISH, contacts=({"kind": "post", "address": _MEXICO},)),
    _Sketch(
        "Harper Household", "two on one address and mailbox", mail="delivered.household", contacts=(_AT_HOUSEHOLD,)
    ),
    _Sketch(
        "Hollis Household", "two on one address and mailbox", mail="delivered.household", contacts=(_AT_HOUSEHOLD,)
    ),
)


def made_up_people() -> list[MadeUp]:
    """Forty people, in the order they are shown."""
    return [MadeUp(sketch.story, _row(number, sketch)) for number, sketch in enumerate(_SKETCHES, 1)]


def _row(number: int, sketch: _Sketch) -> dict[str, Any]:
    contacts: list[Mapping[str, Any]] = []
    if sketch.phone is not None:
        area = PHONE_CODES[number % len(PHONE_CODES)]
        contacts.append({"kind": "phone", "value": f"+1{area}55501{sketch.phone:02}"})
    if sketch.mail is not None:
        own = "" if "." in sketch.mail else f".{number}"
        contacts.append({"kind": "email", "value": f"{sketch.mail}{own}@example.com"})
    if sketch.home is not None:
        contacts.append({"kind": "post", "address": address(sketch.home, 100 + number)})
    return {
        "external_id": f"DEMO-{number:02}",
        "name": sketch.name,
        **({} if sketch.language is None else {"language": sketch.language}),
        **sketch.more,
        "contacts": [*contacts, *sketch.contacts],
    }


def address(place: int, house: int) -> dict[str, Any]:
    """A made-up address in a real town."""
    city, postal_code = CITIES[place % len(CITIES)]
    return {
        "lines": [f"{house} {STREETS[place % len(STREETS)]}"],
        "city": city,
        "region": "CO",
        "postal_code": postal_code,
    }
