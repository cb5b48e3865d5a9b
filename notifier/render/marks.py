"""The small 2D code on every page of a piece, by which a machine or a mailroom keeps two people's pages apart."""

import io
from typing import Final

import segno

PIECE_ID_LENGTH: Final = 34  # what version 2 with error correction M holds in capitals and digits, less the page


def page_mark(piece_id: str, page: int) -> str:
    """An SVG of the QR code `PIECEID-P`, the piece id in capitals without dashes; page counts from 1.

    Raises:
        ValueError: the id is too long, or holds more than letters, digits and dashes.
    """
    compact = piece_id.replace("-", "").upper()
    if not (compact.isascii() and compact.isalnum() and len(compact) <= PIECE_ID_LENGTH):
        raise ValueError("a piece id is at most 34 letters and digits")
    # A fixed version and mask: the search for the best ones costs five times as much.
    code = segno.make(f"{compact}-{page}", version=2, error="M", mask=2, mode="alphanumeric", boost_error=False)
    svg = io.BytesIO()
    code.save(svg, kind="svg", xmldecl=False, border=0)
    return svg.getvalue().decode()
