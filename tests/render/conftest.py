"""The renderer of this checkout, built once a session as a worker builds it."""

from pathlib import Path

import pytest

from notifier.render.renderer import Renderer, build_renderer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return build_renderer(
        config_dir=ROOT / "config",
        template_dir=ROOT / "templates",
        font_dirs=[ROOT / "node_modules" / "@expo-google-fonts" / "noto-sans"],
    )
