"""What the app's configuration says of its look: it is read as it stands, and what it colours can be read."""

import tomllib

import pytest

from flowers_core.storage import REPOSITORY

CONFIG = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_is_written_can_be_read(mode: str) -> None:
    theme = CONFIG["theme"][mode]
    for ground in ("backgroundColor", "secondaryBackgroundColor"):
        assert contrast(theme["textColor"], theme[ground]) > 7
        assert contrast(theme["linkColor"], theme[ground]) > 4.5
        assert contrast(theme["primaryColor"], theme[ground]) > 3, "of large or bold letters"
    assert contrast(theme["primaryColor"], "#ffffff") > 3.5, "a button's letters are white"


def test_a_string_in_a_page_is_not_shown() -> None:
    assert CONFIG["runner"]["magicEnabled"] is False
