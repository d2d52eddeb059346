"""Numbers and names in a sentence, in a form in which they can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache

_SCALES = {
    "k": 1e3, "tsd": 1e3, "thousand": 1e3, "tausend": 1e3, "mille": 1e3,
    "m": 1e6, "mn": 1e6, "mm": 1e6, "mio": 1e6, "million": 1e6, "millions": 1e6, "millionen": 1e6,
    "b": 1e9, "bn": 1e9, "mrd": 1e9, "billion": 1e9, "billions": 1e9, "milliarden": 1e9, "milliarde": 1e9,
    "milliard": 1e9, "milliards": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12, "billionen": 1e12,
    "lakh": 1e5, "crore": 1e7, "crores": 1e7, "cr": 1e7, "hundred": 1e2, "dozen": 12.0,
}  # fmt: skip
_CURRENCIES = {
    "$": "usd", "us$": "usd", "usd": "usd", "dollar": "usd", "dollars": "usd", "€": "eur", "eur": "eur", "euro": "eur",
    "euros": "eur", "£": "gbp", "gbp": "gbp", "pounds": "gbp", "¥": "jpy", "jpy": "jpy", "yen": "jpy", "₹": "inr",
    "rs": "inr", "inr": "inr", "rupees": "inr", "chf": "chf", "francs": "chf",
}  # fmt: skip
_PERCENT = frozenset(("%", "percent", "per cent", "prozent", "pour cent", "pct"))
_POINTS = frozenset(("percentage point", "percentage points", "prozentpunkte", "pp", "bp", "bps", "basis points"))
# Units of measure by their first letters where these tell them apart; two of different lines are never the same figure.
_UNITS = {
    "ms": "ms", "millisecond": "ms", "s": "s", "sec": "s", "second": "s", "sekunde": "s", "min": "min", "minute": "min",
    "h": "h", "hr": "h", "hour": "h", "stunde": "h", "heure": "h", "day": "d", "tag": "d", "jour": "d", "week": "wk",
    "woche": "wk", "semaine": "wk", "month": "mo", "monat": "mo", "mois": "mo", "year": "yr", "yr": "yr", "jahr": "yr",
    "an": "yr", "ans": "yr", "annee": "yr", "mg": "mg", "g": "g", "gram": "g", "kg": "kg", "kilogram": "kg",
    "mm": "mm", "cm": "cm", "m": "m", "meter": "m", "metre": "m", "km": "km", "kilometre": "km", "kilometer": "km",
    "mile": "mile", "ft": "ft", "feet": "ft", "km2": "km2", "m2": "m2", "l": "l", "ml": "ml", "°c": "degc",
    "°f": "degf", "k": "kelvin", "nanokelvin": "nk", "nk": "nk", "millikelvin": "mk", "mk": "mk", "microkelvin": "uk",
    "kb": "kb", "mb": "mb", "gb": "gb", "tb": "tb", "kwh": "kwh", "mwh": "mwh", "gwh": "gwh", "twh": "twh", "wh": "wh",
    "kw": "kw", "mw": "mw", "gw": "gw", "hz": "hz", "khz": "khz", "mhz": "mhz", "ghz": "ghz",
    "ppm": "ppm", "ppb": "ppb", "x": "x",
    "times": "x", "token": "token", "parameter": "parameter", "bar": "bar",
}  # fmt: skip
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier", "february feb februar fevrier", "march mar märz mars", "april apr avril",
            "may mai", "june jun juni juin", "july jul juli juillet", "august aug août aout",
            "september sep sept septembre", "october oct oktober octobre", "november nov novembre",
            "december dec dezember decembre décembre",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_WORDS = {
    word: number
    for number, words in enumerate(
        (
            "", "", "two zwei deux", "three drei trois", "four vier quatre", "five fünf cinq", "six sechs",
            "seven sieben sept", "eight acht huit", "nine neun neuf", "ten zehn dix", "eleven elf onze",
            "twelve zwölf douze", "thirteen",
            "fourteen", "fifteen fünfzehn quinze", "sixteen", "seventeen", "eighteen", "nineteen",
            "twenty zwanzig vingt",
        )
    )
    for word in words.split()
} | {
    "thirty": 30, "dreißig": 30, "trente": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90,
}  # fmt: skip
_SHARES = {"half": 50.0, "third": 100 / 3, "quarter": 25.0, "fifth": 20.0, "tenth": 10.0}
_COUNTING = frozenset((*_MONTHS, *_WORDS, *_SHARES))
_DIGIT = re.compile(r"\d")

_NUMBER = r"\d{1,3}(?:[,.'’ \u202f\u00a0]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_FIGURE = re.compile(
    rf"""
    (?P<literal>\d+(?:[:/]\d+)+(?:[.,]\d+)?|\d+(?:\.\d+){{2,}}|\d+(?:[.,]\d+)?\s?(?:×|x|\*)?\s?10\^[-−+]?\d+|\d+\^[-−+]?\d+)
    | (?P<code>(?<!\w)[^\W\d_]+[\w/.-]*\d[\w/-]*|(?<!\w)§+\s?\d+\w*)
    | (?:(?P<currency>US\$|[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|INR|JPY|Rs\.?)(?=\s?\d))\s?)?(?P<number>(?<!\w)(?:{_NUMBER}))
      (?:(?=(?:\s?(?:[-–—]|to|bis|à)\s?[$€£]?(?:{_NUMBER}))?
        (?P<tail>\s?(?:%|percent\b|per\ cent|Prozent\b|pour\ cent|°\s?[CF])
          |[-\u2010\u2011\s\u00a0]?[A-Za-zÀ-ÿ$€£₹²]+\d?\b)
        (?P<tail2>[-\s\u00a0](?:points?\b|[A-Za-zÀ-ÿ€$²]+))?))?
    | \b(?:a|one)[ -](?P<share>half|third|quarter|fifth|tenth)\b
    | (?P<word>[^\W\d_]+)
    """,
    re.VERBOSE,
)
# A number behind one of these is part of a name: Rule 5605, § 7, type 2.
_REFERENCE = re.compile(
    r"(?:\b(?:rules?|sections?|sec\.|articles?|art\.?|rfc|table|figure|fig\.|chapter|step|phase|part|title|form|type|tier|"
    r"no\.|nr\.|paragraph|level|version|class|item|appendix|annex|regulation|directive|act|artikel|article)|§)\s?$",
    re.IGNORECASE,
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER = re.compile("10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_APPROXIMATE = frozenset(
    "about roughly around some nearly almost approximately circa ca rund etwa environ".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Figure:
    """A number with its kind: %, a currency, a unit, year, month, day, ":" for 2:00:35, or nothing.

    `values` has two entries where thousands and decimals can't be told apart: 1.500 is 1.5 or 1500.
    """

    text: str
    kind: str
    values: tuple[float, ...]
    literal: str = ""
    counted: bool = True  # False: "a quarter", "(1)", "1/2"; it may confirm a figure but need not be confirmed
    of: tuple[str, ...] = ()  # the words behind it, where it has no kind: what is counted

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What two figures that are the same have in common."""
        return (f"#{self.literal}",) if self.literal else tuple(f"#{value:.6g}" for value in self.values)


def figures(text: str, words: Set[str] = _COUNTING) -> list[Figure]:
    """The figures of a sentence in its order. Codes such as GW150914 or HTTP/3 are names, not figures.

    Without a digit, and with none of the `words` in it a number, it has none; `words` are its own, in lower case.
    """
    if _COUNTING.isdisjoint(words) and not _DIGIT.search(text):
        return []
    plain = _POWER.sub(lambda match: f"10^{match[1].translate(_SUPERSCRIPTS)}", text)
    return list(_figures(plain))


def same(first: Figure, second: Figure, rounded: bool = False) -> bool:
    """Whether two figures say the same. `rounded`: the first may be a rounder number than the second."""
    if first.literal or second.literal:
        return first.literal == second.literal
    if not rounded and first.values != second.values and len(first.values) + len(second.values) == 2:
        return False  # most of the many comparisons of a ledger end here
    alike = any(a == b or (rounded and _rounds(a, b)) for a in first.values for b in second.values)
    return alike and comparable(first, second)


def comparable(first: Figure, second: Figure) -> bool:
    """Whether two figures measure the same kind of thing, or one does not say what it measures."""
    alone = ("year", "month", "day", "ref")
    if first.kind in alone or second.kind in alone:
        return first.kind == second.kind
    if first.kind == second.kind or {first.kind, second.kind} == {"%", "pp"}:
        return True
    plain = first if not first.kind else second
    return (not plain.kind and plain.values[0] >= 10) or plain.values[0] % 1 > 0  # a bare 9 is not 9 %


def is_measure(word: str) -> bool:
    """Whether a word behind a number is its scale or unit, and no word of the sentence."""
    return (
        word in _SCALES
        or word in _CURRENCIES
        or word in _PERCENT
        or bool(_unit(word))
        or word in ("degrees", "celsius")
    )


def is_number(word: str) -> bool:
    """Whether a word is a small number ("three", "drei") or a share ("quarter")."""
    return word in _WORDS


def is_approximate(text: str, words: Set[str]) -> bool:
    """Whether a sentence says that its figures are about right ("about", "~"); `words` are its own, in lower case."""
    return not _APPROXIMATE.isdisjoint(words) or "~" in text or "≈" in text


def _rounds(a: float, b: float) -> bool:
    """Whether `a` is `b` with fewer digits: 17 for 17.4, 45,000 for 44,871."""
    return 0 < abs(a - b) <= 0.03 * abs(b) and len(f"{a:.6g}".strip("0.")) < len(f"{b:.6g}".strip("0."))


def _figures(text: str) -> Iterator[Figure]:
    month_at = -10
    for match in _FIGURE.finditer(text):
        if match["literal"]:
            literal = re.sub(r"[\s−]", "", match[0]).replace("x10", "×10")
            yield Figure(match[0], ":", (), literal, counted=not re.fullmatch(r"\d{1,2}/\d{1,2}", literal))
        elif match["share"]:
            yield Figure(match[0], "%", (_SHARES[match["share"]],), counted=False)
        elif word := match["word"]:
            if (low := word.lower()) not in _COUNTING:
                continue
            if month := _month(word, text, match.start(), match.end()):
                month_at = match.end()
                yield Figure(word, "month", (float(month),))
            elif (number := _WORDS.get(low)) and not (word == "sept" and word.islower() and month):
                yield _from_word(word, number, text[match.end() : match.end() + 40])
        elif match["number"]:
            behind_month = 0 <= match.start("number") - month_at <= 3
            yield _number(match, near_month=behind_month or _month_follows(text, match))


def _from_word(word: str, number: int, rest: str) -> Figure:
    """A small number written as a word; `rest` is what follows: "to five hours", " Roman legions"."""
    rest = re.sub(r"^\s?(?:[-–—]|to|or|bis|oder|à|ou)\s?[\w.,]+", "", rest)
    kind = _unit(rest[:20])
    return Figure(word, kind, (float(number),), of=() if kind else tuple(re.findall(r"[^\W\d_]+", rest.lower())[:2]))


def _month(word: str, text: str, start: int, end: int) -> int | None:
    """The month a word names; "May" and "March" only where a date or "in" stands beside them."""
    number = _MONTHS.get(word.lower())
    if number is None or (
        not word[0].isupper() and word.lower() not in ("janvier", "avril", "juin", "juillet", "août")
    ):
        return None
    if len(word) <= 4 or word == "March":
        beside = re.match(r"\.?[\s\u00a0-]+\d", text[end : end + 6]) or re.search(
            r"(?:\d\.?|\b(?:in|of|since|until|by|im|en|early|late|mid))[\s\u00a0-]+$", text[max(0, start - 8) : start]
        )
        return number if beside else None
    return number


def _month_follows(text: str, match: re.Match[str]) -> bool:
    after = re.match(
        r"\.?(?:st|nd|rd|th)?\s+(?:of\s+)?([A-Za-zÀ-ÿ]{3,9})", text[match.end("number") : match.end("number") + 16]
    )
    return bool(after and after[1].lower() in _MONTHS and after[1][0].isupper())


def _number(match: re.Match[str], near_month: bool) -> Figure:
    written, tails = match["number"], _tails(match)
    scale = next((_SCALES[tail] for tail in tails[:1] if tail in _SCALES and not _is_unit(match, tail)), 1.0)
    rest = tails[1:] if scale != 1.0 else tails
    if _REFERENCE.search(match.string[max(0, match.start() - 14) : match.start()]):
        return Figure(match[0].strip(), "ref", (_values(written)[0],))
    if (
        re.search(r"(?:\(|^\s*)$", match.string[max(0, match.start() - 2) : match.start()])
        and len(written) < 3
        and match.string[match.end() : match.end() + 1] in (".", ")")
    ):
        return Figure(match[0].strip(), "", _values(written), counted=False)
    values = tuple(float(f"{value * scale:.12g}") for value in _values(written))
    kind = _currency(match, rest) or _kind(rest)
    if not kind and scale == 1.0 and written.isdigit():
        if near_month and int(written) <= 31:
            kind = "day"
        elif len(written) == 4 and 1000 <= int(written) <= 2100:
            kind = "year"
    return Figure(match[0].strip(), kind, values, of=() if kind else tuple(rest))


def _tails(match: re.Match[str]) -> list[str]:
    tails = [tail.strip(" -\u00a0\u2010\u2011").lower() for tail in (match["tail"], match["tail2"]) if tail]
    return [tail.replace(" ", "") if "°" in tail else tail for tail in tails]


def _is_unit(match: re.Match[str], tail: str) -> bool:
    """Whether a letter that may be a scale is a unit: "4 km" is, "2.7 K" and "5 m" are, "70B" and "$5 m" are not."""
    if tail in ("k", "m", "mm", "t"):
        return not match["currency"] and (
            match["tail"][0] in " \u00a0" or (tail in ("m", "mm") and match["tail"].islower())
        )
    return False


def _currency(match: re.Match[str], tails: list[str]) -> str:
    if match["currency"]:
        return _CURRENCIES.get(match["currency"].lower().rstrip("."), "")
    return next((_CURRENCIES[tail] for tail in tails[:1] if tail in _CURRENCIES), "")


def _kind(tails: list[str]) -> str:
    if not tails:
        return ""
    both = " ".join(tails)
    if re.fullmatch(r"(?:degrees?|grad) celsius", both):
        return "degc"
    if both in _POINTS or tails[0] in _POINTS:
        return "bp" if tails[0] in ("bp", "bps", "basis") else "pp"
    return "%" if tails[0] in _PERCENT or both in _PERCENT else _unit(tails[0])


@lru_cache(10_000)
def _unit(after: str) -> str:
    """The unit with which a text begins, or nothing."""
    match = re.match(r"[-\s\u00a0]*(°\s?[cf]|[a-zà-ÿ]+[2²]?)", after.lower())
    if not match:
        return ""
    word = match[1].replace("²", "2").replace(" ", "")
    for ending in ("", "s", "n", "en", "e"):
        if word.endswith(ending) and (unit := _UNITS.get(word.removesuffix(ending))):
            return unit
    return "%" if word in _PERCENT else ""


def _values(written: str) -> tuple[float, ...]:
    """What a written number may mean: 1,810,000 · 13,5 · 1.500 (two readings)."""
    bare = re.sub(r"['’ \u202f\u00a0]", "", written)
    separators = re.findall(r"[.,]", bare)
    if not separators:
        return (float(bare),)
    if len(separators) > 1:
        last = separators[-1] if separators[-1] != separators[0] else ""
        whole = bare.replace(separators[0], "")
        return (float(whole.replace(last, ".") if last else whole),)
    decimal = float(bare.replace(",", "."))
    if re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", bare):
        thousands = float(re.sub("[.,]", "", bare))
        return (thousands,) if "," in bare else (decimal, thousands)
    return (decimal,)
