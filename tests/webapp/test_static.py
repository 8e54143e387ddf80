"""What can be said of the page's files without a browser: contrast, and no HTML made of data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import webapp

STATIC = Path(webapp.__file__).parent / "static"
THEMES = ("dark", "light")
GROUNDS = ("ground", "surface", "raised")
TEXTS = ("text", "quiet", "life", "intrusion", "trouble", "information", "warning")
PAIRS = [
    *[(text, ground) for text in TEXTS for ground in GROUNDS],
    *[("on-category", category) for category in ("life", "intrusion", "trouble", "information")],
    ("on-action", "action"),
    ("on-warning", "warning"),
]
LEAST_CONTRAST = 4.5  # WCAG 2.2 AA, 1.4.3


def tokens(theme: str) -> dict[str, str]:
    """Colour tokens of a theme: name → #rrggbb."""
    css = (STATIC / "tokens.css").read_text()
    [block] = re.findall(rf'\[data-theme="{theme}"\] \{{(.*?)\}}', css, re.S)
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), PAIRS, ids=[f"{t} on {g}" for t, g in PAIRS])
def test_text_stands_out_from_its_ground(theme: str, text: str, ground: str) -> None:
    colours = tokens(theme)
    assert contrast(colours[text], colours[ground]) >= LEAST_CONTRAST


def test_both_themes_define_the_same_tokens() -> None:
    assert tokens("dark").keys() == tokens("light").keys()


def test_styles_use_colours_by_token_only() -> None:
    styles = [path for path in STATIC.glob("*.css") if path.name != "tokens.css"]
    assert len(styles) >= 4
    assert [p.name for p in styles if re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(", p.read_text())] == []


def test_no_script_makes_html_of_data() -> None:
    scripts = list((STATIC / "js").glob("*.js"))
    assert len(scripts) >= 10
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc"
    )
    assert [p.name for p in scripts if forbidden.search(p.read_text())] == []


def test_scripts_are_modules_and_keep_nothing_where_a_name_in_the_page_could_take_its_place() -> None:
    templates = "".join(path.read_text() for path in (STATIC.parent / "templates").glob("*.html"))
    scripts = re.findall(r"<script\b[^>]*>", templates)
    assert len(scripts) >= 3
    assert [tag for tag in scripts if 'type="module"' not in tag] == []
    kept = set()
    for path in [*(STATIC / "js").glob("*.js"), *(STATIC / "owner").glob("*.js")]:
        kept |= set(re.findall(r"\b((?:document|window)\.\w+) = ", path.read_text()))
    assert kept == {"document.title", "document.cookie", "window.hearthwatch"}
