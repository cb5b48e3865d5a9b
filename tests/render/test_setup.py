"""A renderer that could not write a letter refuses to be built."""

import shutil
from datetime import date, time
from pathlib import Path

import pytest

from notifier.core.errors import SettingsError
from notifier.render.content import PhoneHours, parse_hours
from notifier.render.dates import hours
from notifier.render.marks import page_mark
from notifier.render.renderer import Renderer, build_renderer
from tests.render.samples import ROOT


def built(config_dir: Path, font_dir: Path) -> Renderer:
    return build_renderer(config_dir=config_dir, template_dir=ROOT / "templates", font_dirs=[font_dir])


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    for name in ("languages.toml", "record_types.toml"):
        shutil.copy(ROOT / "config" / name, tmp_path)
    return tmp_path


@pytest.fixture
def font_dir() -> Path:
    return ROOT / "node_modules" / "@expo-google-fonts" / "noto-sans"


def test_a_word_without_a_message_is_refused(config_dir: Path, font_dir: Path) -> None:
    path = config_dir / "record_types.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"record.wages"', '"record.wage"'), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"there is no message record\.wage"):
        built(config_dir, font_dir)


def test_a_file_that_is_missing_or_no_toml_is_refused(config_dir: Path, font_dir: Path) -> None:
    (config_dir / "record_types.toml").write_text("[", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"record_types\.toml: TOMLDecodeError"):
        built(config_dir, font_dir)
    (config_dir / "languages.toml").unlink()
    with pytest.raises(SettingsError, match=r"languages\.toml: FileNotFoundError"):
        built(config_dir, font_dir)


def test_a_folder_without_fonts_is_refused(config_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        built(config_dir, tmp_path)


def test_data_that_the_template_cannot_use_is_told_without_quoting_it(renderer: Renderer) -> None:
    with pytest.raises(RuntimeError, match="does not compile") as caught:
        renderer.typesetter.pdf("totals.typ", {"batch_id": "secret"}, date(2026, 11, 24))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_hours_are_read_as_an_agency_writes_them() -> None:
    assert parse_hours("mon-fri 08:00-17:00") == PhoneHours(0, 4, time(8), time(17))
    assert parse_hours("tue 09:30-12:00") == PhoneHours(1, 1, time(9, 30), time(12))


@pytest.mark.parametrize(
    "text",
    ["", "always", "mon-fri", "mon-fri 8-17", "mon-xyz 08:00-17:00", "mon-fri 17:00-08:00", "mon-fri 08:00-25:00"],
)
def test_other_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours|telephone|hour"):
        parse_hours(text)


def test_hours_on_one_day_are_said_as_one_day(renderer: Renderer) -> None:
    one_day = parse_hours("tue 09:30-12:00")
    assert hours(one_day, renderer.catalogues["en"]) == "Tuesday, 9:30\u00a0AM to 12:00\u00a0PM"
    assert hours(one_day, renderer.catalogues["es-419"]) == "martes, de 9:30\u00a0a.m. a 12:00\u00a0p.m."


def test_a_page_mark_differs_by_piece_and_page_and_takes_any_writing_of_an_id() -> None:
    dashed, plain = "01234567-89ab-cdef-0123-456789abcdef", "0123456789ABCDEF0123456789ABCDEF"
    assert page_mark(dashed, 1) == page_mark(plain, 1)
    assert len({page_mark(plain, 1), page_mark(plain, 2), page_mark("F" * 32, 1)}) == 3
    assert 'width="25"' in page_mark("F" * 34, 999)


@pytest.mark.parametrize("piece_id", ["F" * 35, "a b", "ñ", "a_b"])
def test_an_id_that_does_not_fit_a_mark_is_refused(piece_id: str) -> None:
    with pytest.raises(ValueError, match="34 letters and digits"):
        page_mark(piece_id, 1)
