"""Phone numbers, mailboxes and addresses: usable or shown with a problem, never guessed, never lost."""

import email_validator
import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.core.contacts import Problem, blind_form, email, envelope_lines, folded, phone, post, postal_sort_key
from notifier.core.model import ContactKind, ContactPoint, PostalAddress
from notifier.core.places import STATE_NAMES, country_code, country_name, state_code
from notifier.core.postal import WINDOW_CHARS, WINDOW_LINES

quick = settings(deadline=None, max_examples=200)
writable = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60)

DENVER = PostalAddress(("1313 Sherman Street", "Apt 4"), "Denver", "CO", "80203")


def address(
    lines: tuple[str, ...] = ("1313 Sherman Street",),
    city: str = "Denver",
    region: str = "CO",
    postal_code: str = "80203",
    country: str = "US",
) -> PostalAddress:
    return PostalAddress(lines, city, region, postal_code, country)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("303-555-0142", "+13035550142"),
        ("(303) 555-0142", "+13035550142"),
        (" 1 303 555 0142 ", "+13035550142"),
        ("+1.303.555.0142", "+13035550142"),
        ("tel:+1-303-555-0142", "+13035550142"),
        ("011 52 55 1234 5678", "+525512345678"),
        ("+52 55 1234 5678", "+525512345678"),
        ("٣٠٣٥٥٥٠١٤٢", "+13035550142"),
        ("303\u00a0555\u20110142", "+13035550142"),
        ("+15005550006", "+15005550006"),
    ],
)
def test_a_phone_number_is_kept_in_e164_however_it_is_written(raw: str, value: str) -> None:
    assert phone(raw) == ContactPoint(ContactKind.PHONE, value)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", Problem.EMPTY),
        ("   ", Problem.EMPTY),
        ("none", Problem.NOT_A_NUMBER),
        ("555-0142", Problem.NO_AREA_CODE),
        ("911", Problem.TOO_SHORT),
        ("303-555-01422", Problem.TOO_LONG),
        ("3" * 300, Problem.TOO_LONG),
        ("000-000-0000", Problem.NOT_POSSIBLE),
        ("411-555-0142", Problem.NOT_POSSIBLE),
        ("1303555014", Problem.NOT_POSSIBLE),
        ("+999 123 456", Problem.UNKNOWN_CALLING_CODE),
        ("303-555-0142 x5", Problem.HAS_EXTENSION),
        ("900-555-0142", Problem.PREMIUM_RATE),
        ("+44 909 879 0000", Problem.PREMIUM_RATE),
        ("303-555-0142; 303-555-0143", Problem.NOT_A_NUMBER),
        ("sister 303-555-0142", Problem.NOT_A_NUMBER),
        ("1-800-555-HELP", Problem.NOT_A_NUMBER),
    ],
)
def test_a_phone_number_that_cannot_be_used_keeps_what_came_in_and_says_why(raw: str, problem: Problem) -> None:
    assert phone(raw) == ContactPoint(ContactKind.PHONE, raw, problem=problem)


@given(area=st.integers(200, 999), last=st.integers(100, 199))
def test_every_fictional_number_can_be_used_in_any_area(area: int, last: int) -> None:
    if area % 100 != 11 and area != 900:
        assert phone(f"{area}-555-0{last}").usable


@quick
@given(
    st.from_regex(r"\s?(\+?1[ .-]?)?(\([2-9]\d\d\)|[2-9]\d\d)[ .-]{0,2}[2-9]\d\d[ .-]?\d{4}", fullmatch=True),
)
def test_the_short_way_for_us_numbers_agrees_with_the_library(raw: str) -> None:
    point = phone(raw)
    if point.usable:
        number = phonenumbers.parse(raw, "US")
        assert point.value == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert phonenumbers.is_possible_number(number)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("maria@example.com", "maria@example.com"),
        (" Maria.O'Neil+x@EXAMPLE.Org ", "Maria.O'Neil+x@example.org"),
        ("a@example.net", "a@example.net"),
        ("a@bücher.example.com", "a@xn--bcher-kva.example.com"),
        ("a@ＥＸＡＭＰＬＥ.com", "a@example.com"),
        ("a@exmaple.com", "a@exmaple.com"),
    ],
)
def test_a_mailbox_keeps_its_name_as_written_and_its_domain_in_ascii(raw: str, value: str) -> None:
    assert email(raw) == ContactPoint(ContactKind.EMAIL, value)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", Problem.EMPTY),
        ("maria", Problem.NOT_A_MAILBOX),
        ("@example.com", Problem.NOT_A_MAILBOX),
        ("a..b@example.com", Problem.NOT_A_MAILBOX),
        ('"a b"@example.com', Problem.NOT_A_MAILBOX),
        ("Maria <maria@example.com>", Problem.NOT_A_MAILBOX),
        ("a@example.com, b@example.com", Problem.NOT_A_MAILBOX),
        ("maria\u00a0x@example.com", Problem.NOT_A_MAILBOX),
        ("maría@example.com", Problem.NOT_ASCII),
        ("a@", Problem.BAD_DOMAIN),
        ("a@example", Problem.BAD_DOMAIN),
        ("a@exa_mple.com", Problem.BAD_DOMAIN),
        ("a@[192.0.2.1]", Problem.BAD_DOMAIN),
        ("a@mail.test", Problem.RESERVED_DOMAIN),
        ("a@localhost", Problem.RESERVED_DOMAIN),
        ("a" * 65 + "@example.com", Problem.TOO_LONG),
        ("a@" + "b." * 130 + "com", Problem.TOO_LONG),
        ("a" * 64 + "@" + ("b" * 60 + ".") * 3 + "example.com", Problem.TOO_LONG),
        ("a" * 60 + "@" + ("ü" + "b" * 52 + ".") * 3 + "example.com", Problem.TOO_LONG),
    ],
)
def test_a_mailbox_that_cannot_be_used_keeps_what_came_in_and_says_why(raw: str, problem: Problem) -> None:
    assert email(raw) == ContactPoint(ContactKind.EMAIL, raw, problem=problem)


@quick
@given(st.one_of(st.emails(), writable.map(lambda text: f"{text}@example.com"), writable))
def test_whatever_the_short_way_takes_as_a_mailbox_the_library_takes_too(raw: str) -> None:
    point = email(raw)
    if point.usable:
        checked = email_validator.validate_email(point.value, check_deliverability=False)
        assert checked.ascii_email == point.value


@quick
@given(writable)
@example("tel:")
@example("+")
@example("\u202e303-555-0142")
def test_any_text_at_all_is_a_phone_and_a_mailbox_that_is_usable_or_says_why(raw: str) -> None:
    for point in (phone(raw), email(raw)):
        assert point.usable or point.value == raw
        assert point.problem is None or Problem(point.problem).meaning


def test_a_us_address_is_tidied_for_print() -> None:
    raw = address((" 1313  Sherman Street ", "", "Apt 4"), " Denver", "colorado", "802031234", "United States")
    assert post(raw).address == PostalAddress(("1313 Sherman Street", "Apt 4"), "Denver", "CO", "80203-1234")


def test_a_territory_given_as_a_country_is_us_mail() -> None:
    point = post(address(("Calle Uno 1",), "San Juan", "", "00901", "PR"))
    assert point.address == PostalAddress(("Calle Uno 1",), "San Juan", "PR", "00901", "US")


@pytest.mark.parametrize("code", sorted(STATE_NAMES))
def test_every_state_territory_and_military_post_can_be_written_as_code_or_name(code: str) -> None:
    assert state_code(code.lower()) == state_code(STATE_NAMES[code].upper()) == code
    assert post(address(region=code)).usable


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (address(lines=()), Problem.NO_STREET),
        (address(lines=("  ",)), Problem.NO_STREET),
        (address(city=""), Problem.NO_CITY),
        (address(region=""), Problem.NO_REGION),
        (address(region="Coahuila"), Problem.UNKNOWN_REGION),
        (address(postal_code=""), Problem.NO_POSTAL_CODE),
        (address(postal_code="8020"), Problem.BAD_POSTAL_CODE),
        (address(postal_code="00000"), Problem.BAD_POSTAL_CODE),
        (address(postal_code="٨٠٢٠٣"), Problem.BAD_POSTAL_CODE),
        (address(country="Atlantis"), Problem.UNKNOWN_COUNTRY),
        (address(country="EU"), Problem.UNKNOWN_COUNTRY),
        (address(country=""), Problem.UNKNOWN_COUNTRY),
        (address(country="MX", city=""), Problem.NO_CITY),
        (address(country="MX", lines=()), Problem.NO_STREET),
        (address(lines=("x" * 46,)), Problem.DOES_NOT_FIT),
        (address(lines=("word " * 20,) * 3), Problem.DOES_NOT_FIT),
    ],
)
def test_an_address_that_cannot_be_used_is_kept_as_it_came_and_says_why(raw: PostalAddress, problem: Problem) -> None:
    assert post(raw) == ContactPoint(ContactKind.POST, "", raw, problem)


def test_a_us_envelope_ends_with_city_state_and_zip() -> None:
    assert envelope_lines("José Luis Pérez Jr", None, DENVER) == (
        "José Luis Pérez Jr",
        "1313 Sherman Street",
        "Apt 4",
        "DENVER CO 80203",
    )


@pytest.mark.parametrize(
    ("raw", "last"),
    [
        (
            address(("Av. Uno 12",), "Ciudad de México", "CDMX", "03100", "MX"),
            ("03100 CIUDAD DE MÉXICO, CDMX", "MEXICO"),
        ),
        (address(("1 High St",), "Leeds", "", "ls1 1aa", "GB"), ("LEEDS LS1 1AA", "UNITED KINGDOM")),
        (address(("1 Rue A",), "Montréal", "QC", "H2X 1Y4", "ca"), ("MONTRÉAL QC H2X 1Y4", "CANADA")),
        (address(("Bahnhofstr. 1",), "Zürich", "", "8001", "CH"), ("8001 ZÜRICH", "SWITZERLAND")),
        (address(("ул. Ленина 5",), "Москва", "", "", "Russia"), ("Москва", "RUSSIA")),
        (address(("1 A St",), "", "", "", "SG"), ("1 A St", "SINGAPORE")),
        (address(("BP 1",), "Abidjan", "", "", "CI"), ("ABIDJAN", "COTE D'IVOIRE")),
        (address(("Postbus 1",), "Willemstad", "", "", "CW"), ("WILLEMSTAD", "CURACAO")),
    ],
)
def test_an_envelope_abroad_ends_with_the_country_in_english_capitals(
    raw: PostalAddress, last: tuple[str, str]
) -> None:
    usable = post(raw).address
    assert usable is not None
    assert envelope_lines("Khadija", None, usable)[-2:] == last


def test_the_native_name_stands_below_the_name_where_it_fits_and_is_left_out_where_not() -> None:
    assert envelope_lines("Mohamed Hassan", "محمد حسن", DENVER)[:2] == ("Mohamed Hassan", "محمد حسن")
    full = address(("one", "two", "three"), "Oaxaca", "", "68000", "MX")
    assert "محمد حسن" not in envelope_lines("Mohamed Hassan", "محمد حسن", full)
    assert envelope_lines("Khadija", "Khadija", DENVER).count("Khadija") == 1


def test_a_long_name_is_broken_at_a_space_and_never_cut() -> None:
    name = "María de los Ángeles Guadalupe García Hernández de la Cruz"
    lines = envelope_lines(name, None, DENVER)
    assert " ".join(lines[:2]) == name
    assert lines[2] == "1313 Sherman Street"


foreign = st.builds(
    PostalAddress,
    st.lists(writable, max_size=3).map(tuple),
    writable,
    writable,
    st.text("0123456789ABC -", max_size=12),
    st.sampled_from(["US", "MX", "GB", "HN", "KR", "Guatemala", "sg", "ZZ", "PR"]),
)


@quick
@given(raw=foreign, name=st.text("abcdé ", min_size=1, max_size=40).filter(str.strip))
def test_a_usable_address_fits_the_window_with_any_ordinary_name_and_loses_no_word(
    raw: PostalAddress, name: str
) -> None:
    point = post(raw)
    if not point.usable:
        assert point.address == raw
        return
    assert point.address is not None
    lines = envelope_lines(name, "名前", point.address)
    assert len(lines) <= WINDOW_LINES
    assert all(line and len(line) <= WINDOW_CHARS for line in lines)
    printed = " ".join(lines).split()
    assert all(word in printed for line in raw.lines for word in line.split())


@quick
@given(foreign)
def test_an_address_once_tidied_stays_as_it_is(raw: PostalAddress) -> None:
    point = post(raw)
    if point.address is not None and point.usable:
        assert post(point.address) == point


def test_every_country_has_a_plain_english_name_in_capitals() -> None:
    codes = {code for code in map(country_code, ("MX", "Türkiye", "USA", "Congo - Kinshasa", "hk")) if code}
    assert codes == {"MX", "TR", "US", "CD", "HK"}
    assert {country_name(code) for code in codes} == {
        "MEXICO",
        "TURKIYE",
        "UNITED STATES",
        "DEMOCRATIC REPUBLIC OF THE CONGO",
        "HONG KONG",
    }


def test_a_print_batch_goes_by_zip_at_home_first_and_then_by_country() -> None:
    batch = [
        address(country="MX", postal_code="03100"),
        address(postal_code="99501"),
        address(country="GT", postal_code="01001"),
        address(postal_code="80203-0002"),
        address(postal_code="80203-0001"),
    ]
    order = [(a.country, a.postal_code) for a in sorted(batch, key=postal_sort_key)]
    assert order == [("US", "80203-0001"), ("US", "80203-0002"), ("US", "99501"), ("GT", "01001"), ("MX", "03100")]


def test_two_writings_of_one_contact_have_one_blind_form() -> None:
    assert blind_form(phone("303-555-0142")) == blind_form(phone("+1 (303) 555-0142"))
    assert blind_form(email("Maria@Example.com")) == blind_form(email("maria@example.COM"))
    assert blind_form(post(DENVER)) == blind_form(post(address(("1313  SHERMAN street", "apt 4"), region="Colorado")))
    assert folded("Nguyễn Thị") == folded("NGUYỄN THỊ ") == folded("Nguyê\u0303n Thi\u0323")


def test_kinds_never_share_a_blind_form() -> None:
    points = [ContactPoint(kind, "same") for kind in ContactKind]
    assert len({blind_form(point) for point in points}) == len(points)


@quick
@given(writable)
@example("ϓ")
@example("ᾳ\u0345")
@example("İ")
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_every_problem_has_its_own_sentence() -> None:
    assert len({problem.meaning for problem in Problem}) == len(Problem)
