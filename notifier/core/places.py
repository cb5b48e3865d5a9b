"""States, countries and how their last address line is written. Data, and the functions that read it.

Sources: USPS Publication 28, appendix B (state and military codes); USPS International Mail Manual 122 and the
Universal Postal Union's addressing sheets (order of city and postcode); country names from CLDR.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from babel import Locale

_STATES = """
AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware
DC District of Columbia|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky
LA Louisiana|ME Maine|MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana
NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota
OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas
UT Utah|VT Vermont|VA Virginia|WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming
AS American Samoa|FM Federated States of Micronesia|GU Guam|MH Marshall Islands|MP Northern Mariana Islands|PW Palau
PR Puerto Rico|VI Virgin Islands|AA Armed Forces Americas|AE Armed Forces Europe|AP Armed Forces Pacific
"""

STATE_NAMES: Mapping[str, str] = MappingProxyType(
    {entry[:2]: entry[3:] for line in _STATES.strip().splitlines() for entry in line.split("|")}
)
"""What the postal service takes as a state: states, territories, freely associated states, military post."""

_CODE_OF_NAME = {name.casefold(): code for code, name in STATE_NAMES.items()}

US_POST_ABROAD = frozenset({"AS", "FM", "GU", "MH", "MP", "PR", "PW", "VI"})
"""Countries of ISO 3166 that are US domestic mail."""

WITHOUT_CITY = frozenset({"GI", "HK", "MC", "MO", "NR", "SG", "VA"})
"""Places where an address needs no city beside the country."""

_POSTCODE_LAST = """
AU BD BH BN BR CA CN CO CR CU EG GB GG HK HN ID IE IM IN IQ JE JO JP KE KH KR LB LK MM MT NG NP NZ PE PK RU SA SG TH
TW UA VE VN ZA
"""
POSTCODE_AFTER_CITY = frozenset(_POSTCODE_LAST.split())
"""Elsewhere the postcode stands before the city."""

_ALPHA_2 = re.compile(r"[A-Z]{2}")

# CLDR lists these beside countries; no post goes to them under the code.
_NOT_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})

_OTHER_WRITINGS = {"U.S.": "US", "U.S.A.": "US", "UNITED STATES OF AMERICA": "US", "USA": "US"}

# Where the CLDR name would puzzle a sorting clerk.
_POSTAL_NAMES = {
    "CC": "COCOS ISLANDS",
    "CD": "DEMOCRATIC REPUBLIC OF THE CONGO",
    "CG": "REPUBLIC OF THE CONGO",
    "HK": "HONG KONG",
    "MM": "MYANMAR",
    "MO": "MACAO",
}


def state_code(region: str) -> str | None:
    """The two letters for a US state, written as a code or in full; None when it is neither."""
    if region in STATE_NAMES:
        return region
    plain = region.replace(".", "").strip()
    code = plain.upper()
    return code if code in STATE_NAMES else _CODE_OF_NAME.get(plain.casefold())


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, str]:
    """Postal names by ISO 3166-1 alpha-2 code: English, plain capitals."""
    names = {str(code): str(name) for code, name in Locale("en").territories.items()}
    codes = [code for code in names if _ALPHA_2.fullmatch(code) and code not in _NOT_COUNTRIES]
    return MappingProxyType({code: _POSTAL_NAMES.get(code) or _plain_capitals(names[code]) for code in codes})


def _plain_capitals(name: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return bare.replace("\u2019", "'").replace("&", "and").upper()


@lru_cache(maxsize=1)
def _country_codes() -> Mapping[str, str]:
    """Codes by every exact writing of a country that is taken: its code, its English name, its postal name."""
    english = {str(name).upper(): str(code) for code, name in Locale("en").territories.items() if code in _countries()}
    postal = {name: code for code, name in _countries().items()}
    return MappingProxyType({**_OTHER_WRITINGS, **english, **postal, **{code: code for code in _countries()}})


def country_code(text: str) -> str | None:
    """The ISO 3166-1 alpha-2 code of a country written as its code or its English name; None for anything else."""
    return _country_codes().get(text.strip().upper())


def country_name(code: str) -> str:
    """The country in English capitals, as the last line of an address abroad.

    Raises:
        KeyError: not a code that `country_code` gives.
    """
    return _countries()[code]
