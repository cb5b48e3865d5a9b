"""Typst: a template and JSON in, an accessible PDF (PDF/UA-1) out.

A character that no font has is an error, never a box. What is printed goes in as data, never as Typst source.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import typst

from notifier.core.errors import NotifierError

MISSING_GLYPH: Final = "could not be displayed"
DOES_NOT_FIT: Final = "does not fit"  # the templates panic with these words


class Unprintable(NotifierError):
    """The data cannot be printed as it is: a character without a glyph, or an address too long for its window."""


@dataclass(frozen=True, slots=True)
class Typesetter:
    """Built once: scanning fonts costs ten times as much as a letter."""

    template_dir: Path
    fonts: typst.Fonts

    def pdf(self, template: str, data: object, made_on: date) -> bytes:
        """The template's PDF; the same data gives the same bytes.

        Raises:
            Unprintable: the message never quotes the data.
        """
        made_at = datetime(made_on.year, made_on.month, made_on.day, tzinfo=UTC)
        try:
            return typst.compile(
                self.template_dir / template,
                root=self.template_dir,
                font_paths=self.fonts,
                ignore_system_fonts=True,
                format="pdf",
                sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
                pdf_standards=["ua-1"],
                timestamp=made_at,
            )
        except typst.TypstError as error:
            reason = _reason(error.message)
        # Raised here, so that Typst's own error, which quotes the text, is not chained to it.
        if reason is None:
            raise RuntimeError(f"templates/letter/{template} does not compile with this data")
        raise Unprintable(reason)


def typesetter(template_dir: Path, font_dirs: Sequence[Path]) -> Typesetter:
    """A typesetter with the fonts of these folders and no others.

    Raises:
        FileNotFoundError: a folder holds no font.
    """
    for folder in font_dirs:
        if not any(folder.rglob("*.ttf")):
            raise FileNotFoundError(f"no fonts in {folder}")
    fonts = typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[str(folder) for folder in font_dirs],
    )
    return Typesetter(template_dir, fonts)


def _reason(message: str) -> str | None:
    if MISSING_GLYPH in message:
        return "a character has no glyph in the fonts"
    return "the address does not fit its window" if DOES_NOT_FIT in message else None
