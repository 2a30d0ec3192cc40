"""Names of languages and their codes (ISO 639-1): what people write, and what the API takes."""

from __future__ import annotations

import re

__all__ = ["code_of"]

_CODE = re.compile(r"[A-Za-z]{2}(-[A-Za-z0-9]{2,8})*")

LANGUAGES = {
    name: code
    for code, names in (
        line.split(" ", 1)
        for line in """\
ar arabic
bg bulgarian
ca catalan
cs czech
da danish
de german deutsch
el greek
en english
es spanish castilian español
et estonian
fa persian farsi
fi finnish suomi
fr french français
he hebrew
hi hindi
hr croatian
hu hungarian magyar
id indonesian
it italian italiano
ja japanese 日本語
ko korean 한국어
lt lithuanian
lv latvian
ms malay
nl dutch nederlands
no norwegian
pl polish polski
pt portuguese português
ro romanian
ru russian
sk slovak
sl slovenian
sr serbian
sv swedish svenska
sw swahili
ta tamil
th thai
tl tagalog filipino
tr turkish türkçe
uk ukrainian
ur urdu
vi vietnamese
zh chinese mandarin 中文""".splitlines()
    )
    for name in names.split()
}
"""Codes by the names of languages, in small letters."""


def code_of(language: str) -> str:
    """Return the code of a language that was named, or is one; empty where it is not known."""
    language = language.strip()
    if _CODE.fullmatch(language):
        return language
    return LANGUAGES.get(language.casefold(), "")
