"""The files of the built-in page: nothing inline, texts never markup, readable."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest

import rtcvoice

PAGE = Path(rtcvoice.__file__).parent / "call_server" / "page"
SCRIPTS = sorted(path.name for path in PAGE.glob("*.js"))
LARGEST = 60_000
"""Bytes of all files together: a phone on a bad line has the page in a second."""

INLINE_ATTRIBUTE = re.compile(r"style$|on\w+$|srcdoc$")
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|document\.write|createContextualFragment"
    r"|DOMParser|\beval\b|new Function|setAttribute\(\s*['\"](?:on|style|href|src)|cssText|srcdoc"
)
NAMELESS_TAGS = {"button", "input", "select", "section", "audio"}


class Elements(HTMLParser):
    """All elements of a page, with their attributes and the text directly in them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self._inside = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        if tag not in ("meta", "link", "input", "br"):
            self._inside.append(self.found[-1])

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if self._inside:
            self._inside[-1][2].append(data)


@cache
def text(name):
    """Return a file of the page."""
    return (PAGE / name).read_text(encoding="utf-8")


@cache
def elements():
    """Return the page's elements: tag, attributes, texts."""
    return Elements(text("index.html")).found


def attributes(name):
    """Return the values of an attribute, wherever it stands."""
    return [given[name] for _, given, _ in elements() if name in given]


def test_nothing_is_inline():
    for tag, given, texts in elements():
        assert tag != "style"
        assert not [name for name in given if INLINE_ATTRIBUTE.match(name)], given
        if tag == "script":
            assert given.get("src")
            assert not "".join(texts).strip()


def test_everything_is_asked_for_relative_to_the_page_and_exists():
    wanted = [name for kind in ("src", "href") for name in attributes(kind) if name[0] != "#"]
    assert {"page.css", "page.js", "icon.svg"} == set(wanted)
    for script in SCRIPTS:
        imported = re.findall(r"^import .* from '(.*)';$", text(script), re.MULTILINE)
        assert all(name.startswith("./") for name in imported)
        wanted += imported
        asked = re.findall(r"fetch\(\s*'([^']*)'", text(script))
        assert all(re.match(r"[a-z]", name) and ":" not in name for name in asked)
    assert {name.removeprefix("./") for name in wanted} | {"index.html"} == {
        path.name for path in PAGE.iterdir()
    }
    assert not re.search(r"url\(|@import", text("page.css"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_texts_never_become_markup_or_code(script):
    assert not MARKUP.search(text(script))
    assert not re.search(r"https?://(?!localhost)\w", text(script))


def test_elements_that_scripts_use_exist_once():
    ids = attributes("id")
    assert len(ids) == len(set(ids))
    used = {name for script in SCRIPTS for name in re.findall(r"\$\('([\w-]+)'\)", text(script))}
    assert used >= {"action", "microphone", "mute", "hold", "consent", "text", "cost", "turns"}
    assert used <= set(ids)


def test_every_control_has_a_name():
    labelled = set(attributes("for"))
    inside_label = set(re.findall(r"<label[^>]*>.*?id=\"([\w-]+)\".*?</label>", text("index.html")))
    for tag, given, texts in elements():
        if tag in NAMELESS_TAGS - {"audio"}:
            named = given.get("aria-label") or "".join(texts).strip()
            assert named or given["id"] in labelled | inside_label, given


def test_it_can_be_read_aloud_and_enlarged():
    assert [given.get("lang") for tag, given, _ in elements() if tag == "html"] == ["en"]
    assert "polite" in attributes("aria-live")
    assert "alert" in attributes("role")
    viewport = next(
        given["content"] for _, given, _ in elements() if given.get("name") == "viewport"
    )
    assert "width=device-width" in viewport
    assert not re.search(r"user-scalable|maximum-scale", viewport)
    assert "prefers-reduced-motion" in text("page.css")


def test_it_says_that_it_is_an_ai_and_asks_before_it_records():
    shown = re.sub(r"<[^>]*>|\s+", " ", text("index.html"))
    assert re.search(r"talk with an\s+AI voice\s*, not with a person", shown)
    assert "agree to be recorded" in shown
    consent = next(given for _, given, _ in elements() if given.get("id") == "consent")
    assert "checked" not in consent
    assert "options.record && $('consent').checked" in text("page.js")


TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
FETCHED = {"script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'"}


async def test_every_file_is_served_as_it_is():
    async with rtcvoice.CallServer(api_key="sk-any") as server, aiohttp.ClientSession() as http:
        for file in PAGE.iterdir():
            name = "" if file.name == "index.html" else file.name
            async with http.get(server.url + name) as answer:
                assert answer.status == 200, name
                assert await answer.read() == file.read_bytes()
                assert answer.content_type == TYPES[file.suffix]
                assert answer.charset == "utf-8"
                # Firefox hides the Origin of a beacon from pages that send no referrer.
                assert answer.headers["Referrer-Policy"] == "same-origin"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                policy = set(answer.headers["Content-Security-Policy"].split("; "))
                assert policy >= {"default-src 'none'", "frame-ancestors 'none'"} | FETCHED
                assert not [rule for rule in policy if "unsafe" in rule or "*" in rule]
        for name in ("page.py", "../desk.py", "%2e%2e/desk.py", "page/page.js", "index.htm"):
            async with http.get(server.url + name) as answer:
                assert answer.status == 404, name


def test_it_is_small():
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < LARGEST


def colours(scheme):
    """Return the colours of a scheme, by name."""
    blocks = re.findall(r":root \{(.*?)\}", text("page.css"), re.DOTALL)
    block = blocks[("light", "dark").index(scheme)]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def luminance(colour):
    """Return the relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(scheme):
    colour = colours(scheme)

    def contrast(one, other):
        bright, dim = sorted((luminance(colour[one]), luminance(colour[other])), reverse=True)
        return (bright + 0.05) / (dim + 0.05)

    for words in ("ink", "soft", "user", "assistant", "tool", "bad"):
        for ground in ("page", "card", "faint"):
            assert contrast(words, ground) >= 4.5, (words, ground)
    for words, ground in (
        ("on-ink", "ink"),
        ("on-bad", "bad"),
        ("page", "user"),
        ("ink", "bad-fill"),
    ):
        assert contrast(words, ground) >= 4.5, (words, ground)
    for edge in ("edge", "focus", "good"):
        assert contrast(edge, "page") >= 3, edge
