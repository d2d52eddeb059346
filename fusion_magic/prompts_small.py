"""Prompts for tiny models, which can't follow the full ones: a judge asked field by field, and a synthesis.

Tuned on SmolLM2-135M-Instruct (4-bit). What a model of that size needs: an example in chat turns, sentences it
only has to finish, one small question at a time, and few names to keep apart. The JSON is put together here in
Python, so it is valid whatever the model wrote and wherever it was cut. No function here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PANEL_VERSION = "small-panel-1"
JUDGE_VERSION = "small-judge-1"
SYNTHESIS_VERSION = "small-synthesis-1"
BALLOT_VERSION = "small-ballot-1"

TURNS_LIMIT = 1_500  # characters of earlier turns that its window leaves room for
# Limits in output tokens. A field's sentence may be cut there: `parse` expects it.
FIELD_TOKENS = 48
SYNTHESIS_TOKENS = 140
"""Three ways to ask one model, as (system prompt, temperature, seed), so that three seats do not answer alike."""

# Bytes, not characters: a byte-level tokenizer makes at most one token of a byte, so these hold in any language.
# With the example (under 250 tokens) and the output they stay below the embedded server's 4096 tokens a request.
_QUESTION_BYTES = 600
_RESPONSE_BYTES = 700
_RESPONSES_BYTES = 2800

_JUDGE_SYSTEM = "You compare answers. You reply with one short sentence."
_SYNTHESIS_SYSTEM = "You are a helpful assistant. You write short, plain answers."

# The subject is rare on purpose: its words, in a finding about anything else, betray that the example was copied.
_EXAMPLE_QUESTION = "How do I clean a brass trumpet?"
_EXAMPLE_RESPONSES = {
    "A": "Scrub the trumpet with chalk, then rinse it.",
    "B": "Chalk scratches brass. Use wax, then rinse it.",
    "C": "Use wax, rinse the trumpet and grease the valves.",
}
_EXAMPLE_MARKS = ("trumpet", "chalk", "brass", "wax", "grease", "valve", "mouthpiece", "scrub", "rins", "scratch")
# Where the server knows this field, the same words are made unlikely; each is one token in SmolLM2's vocabulary.
_UNLIKELY = (" trumpet", " chalk", " brass", " wax", " grease", " valves", " scrub", " rinse", " scratches")

# Grammars are GBNF, llama.cpp's notation. Words start with their space, as tokens do. There is no upper limit where
# the end may be cut: a limit inside the grammar makes the model pad its last word with nonsense.
_WORDS = r"""
words ::= (" " word)+
stance ::= (" " word){2,24}
word ::= [a-zA-Z0-9$] [a-zA-Z0-9'%-]*
"""
_PROSE = r"""
root ::= sentence (" " sentence){1,2}
sentence ::= [A-Z0-9] rest (" " word){3,60} [.!?]
word ::= [a-zA-Z0-9$('] rest
rest ::= [^ \n.!?*#|<>:"]*
"""

SAMPLING: dict[str, dict[str, Any]] = {
    "panel": {"min_p": 0.1, "repeat_penalty": 1.1, "grammar": _PROSE},
    "judge": {"min_p": 0.1, "logit_bias": [[token, -10.0] for token in _UNLIKELY]},
    "synthesis": {"min_p": 0.1, "repeat_penalty": 1.1, "grammar": _PROSE},
}
"""Extra body fields by stage, for llama.cpp only: other servers refuse or ignore them."""

Message = dict[str, str]
Finding = Any  # str, or one of the analysis's objects as a dict; pydantic checks it where it is kept


@dataclass(frozen=True)
class Field:
    """One field of the analysis as one small question with a one-sentence reply."""

    name: str
    request: str
    reply: str
    _root: Callable[[Sequence[str]], str]
    _read: Callable[[str, Sequence[str]], Finding | None]
    _least: int = 1

    def applies(self, labels: Sequence[str]) -> bool:
        """Whether so few responses can have such a finding: one response contradicts nobody."""
        return len(labels) >= self._least

    def messages(self, question: str, responses: Mapping[str, str]) -> list[dict[str, str]]:
        """The chat for this field; `responses` by seat letter, shortened here so that the prompt fits.

        All fields share everything but the last line, so a server with a prompt cache reads the rest once: ask the
        fields one after the other, not in parallel.
        """
        request = f"{_compared(question, responses)}\n{self.request}"
        return [*_example_turns(), {"role": "user", "content": request}]

    def grammar(self, labels: Sequence[str]) -> str:
        """GBNF in which the reply has to be written; the sentence's beginning and the letters are fixed."""
        return f"root ::= {self._root(labels)}{_WORDS}" if self.applies(labels) else 'root ::= "None."'

    def parse(self, text: str, labels: Sequence[str]) -> list[Finding]:
        """The findings in `text`, in the analysis's shapes; [] for anything that can't be read. Never raises."""
        if not self.applies(labels):
            return []
        found = [self._read(line, labels) for line in _lines(text)]
        return [finding for finding in found if finding is not None]


def ballot_messages(question: str, responses: Mapping[str, str]) -> list[dict[str, str]]:
    """What a tiny model is asked to rank; a grammar leaves it nothing but an order of the letters."""
    request = f"{_compared(question, responses)}\nWhich answer is better? Put the best one first."
    return [{"role": "system", "content": _JUDGE_SYSTEM}, {"role": "user", "content": request}]


def echoes_example(text: str, question: str, responses: Mapping[str, str]) -> bool:
    """Whether a reply (or a finding) speaks of the example instead of the real question and responses.

    One word of the example's subject is enough, unless the question or a response has it too; a word-for-word copy
    of an example reply is one in any case.
    """
    real = " ".join([question, *responses.values()]).lower()
    said = text.lower()
    if any(mark in said and mark not in real for mark in _EXAMPLE_MARKS):
        return True
    return any(_bare(field.reply) == _bare(text) for field in FIELDS)


def synthesis_messages(
    question: str, responses: Mapping[str, str], analysis: Mapping[str, Any] | None
) -> list[dict[str, str]]:
    """The chat that writes the answer. Letters are left out: a tiny model would write about them instead.

    Of the analysis only the consensus goes in, for the same reason.
    """
    notes = [*_shortened(responses).values(), *(analysis or {}).get("consensus", [])]
    listed = "\n".join(f"- {note}" for note in notes)
    content = f"Notes:\n{listed}\n\nUse these notes to answer the question: {_cut(question, _QUESTION_BYTES)}"
    return [{"role": "system", "content": _SYNTHESIS_SYSTEM}, {"role": "user", "content": content}]


def _example_turns() -> list[Message]:
    lead = f"{_compared(_EXAMPLE_QUESTION, _EXAMPLE_RESPONSES)}\n"
    turns: list[Message] = [{"role": "system", "content": _JUDGE_SYSTEM}]
    for field in FIELDS:
        turns += [{"role": "user", "content": lead + field.request}, {"role": "assistant", "content": field.reply}]
        lead = ""
    return turns


def _compared(question: str, responses: Mapping[str, str]) -> str:
    # The question comes after the answers: what is read last is what a tiny model writes about.
    answers = "\n".join(f"Answer {label}: {text}" for label, text in _shortened(responses).items())
    return f"{answers}\n\nQuestion: {_cut(question, _QUESTION_BYTES)}"


def _shortened(responses: Mapping[str, str]) -> dict[str, str]:
    room = min(_RESPONSE_BYTES, _RESPONSES_BYTES // max(1, len(responses)))
    return {label: _cut(text, room) for label, text in responses.items()}


def _cut(text: str, room: int) -> str:
    """`text` on one line, in at most `room` bytes, ending with a sentence if one ends in the second half."""
    flat = " ".join(text.split())
    kept = flat.encode()[:room].decode(errors="ignore")
    if kept == flat:
        return flat
    end = max(kept.rfind(mark) for mark in (". ", "! ", "? "))
    return kept[: end + 1] if end > len(kept) // 2 else kept.rsplit(" ", 1)[0]


def _any(labels: Sequence[str]) -> str:
    return f"[{''.join(labels)}]"


def _contradiction_root(labels: Sequence[str]) -> str:
    rest = {label: [other for other in labels if other != label] for label in labels}
    pairs = [f'"Answer {one} says" stance ", but Answer " {_any(rest[one])}' for one in labels if rest[one]]
    return f'({" | ".join(pairs)}) " says" words "."'


def _partial_root(labels: Sequence[str]) -> str:
    pairs = [f'"Answers {one} and " {_any(labels[at + 1 :])}' for at, one in enumerate(labels[:-1])]
    return f'({" | ".join(pairs)}) " say" words "."'


# -- reading ---------------------------------------------------------------------------------------------------------

_MOST_FINDINGS = 3  # of one field: a tiny model asked for one sentence that writes more repeats itself
_SAYS = r"(?i:\s*:?\s*(?:both\s+)?(?:says?|states?|suggests?|recommends?)\b\s*(?:that\b|to\b)?|\s*:)\s*"
_WHO = r"(?i:only\s+)?(?i:(?:answers?|responses?|seats?)\s+)?"
# As texts: most runs never read a tiny model, and `re` keeps what it has compiled.
_SPEAKER = rf"{_WHO}\b([A-H])\b{_SAYS}"
_SPEAKERS = rf"{_WHO}([A-H](?:(?:\s*,\s*|\s*,?\s+and\s+)(?i:answers?\s+)?[A-H]\b)*)\b{_SAYS}"
_NOTHING = r"(?i:none|nothing|no (?:contradictions?|disagreements?)|n/?a)\b"
# Words that a sentence can't end with: where the token limit fell, they are taken off.
_DANGLING = frozenset(
    "a an the of to in on at by for from with and or but as is are was were be that than which who if when it its their your our this these not no very more can will would should may has have".split()  # noqa: SIM905
)


def _lines(text: str) -> list[str]:
    lines = (re.sub(r"^[\s#>•\d.)-]+", "", line.replace("*", "")).strip() for line in text.splitlines())
    return [line for line in lines if line and not re.match(_NOTHING, line)][:_MOST_FINDINGS]


def _sentence(text: str) -> str:
    """`text` as one clean sentence: a cut end is trimmed back to a word a sentence may end with; "" if too little."""
    words = text.strip(" ,;:\"'").split()
    if words and not words[-1].endswith((".", "!", "?")):
        words = words[:-1]  # cut in the middle, or an unknown distance from it
        while words and words[-1].lower().strip(",;") in _DANGLING:
            words = words[:-1]
    kept = " ".join(words).rstrip(" .,;:")
    return f"{kept[:1].upper()}{kept[1:]}." if re.search(r"\w", kept) and kept.lower() not in _DANGLING else ""


def _bare(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def _after(start: str) -> Callable[[str, Sequence[str]], str | None]:
    """A reader of the sentence that follows `start`, a pattern that may be missing."""
    opening = rf"(?i)^\W*(?:{start})\s*"
    return lambda text, labels: _sentence(re.sub(opening, "", text)) or None


def _read_partial(text: str, labels: Sequence[str]) -> dict[str, Any] | None:
    match = re.match(_SPEAKERS, text)
    point = _sentence(text[match.end() :]) if match else ""
    named = sorted(set(re.findall(r"\b[A-H]\b", match[1])) & set(labels)) if match else []
    return {"labels": named, "point": point} if named and point else None


def _read_unique(text: str, labels: Sequence[str]) -> dict[str, str] | None:
    match = re.match(_SPEAKERS, text)
    insight = _sentence(text[match.end() :]) if match else ""
    return {"label": match[1], "insight": insight} if match and match[1] in labels and insight else None


def _read_contradiction(text: str, labels: Sequence[str]) -> dict[str, Any] | None:
    stances: dict[str, str] = {}
    starts = list(re.finditer(_SPEAKER, text))
    for at, start in enumerate(starts):
        after = starts[at + 1] if at + 1 < len(starts) else None
        said = text[start.end() : after.start() if after else None]
        # Only the last stance can have been cut.
        stance = _sentence(re.sub(r"[\s,;.]*(?:\b(?:but|while|and|whereas)\b)?\s*$", ".", said) if after else said)
        if start[1] in labels and stance:
            stances.setdefault(start[1], stance)
    if len({_bare(stance) for stance in stances.values()}) < 2:
        return None
    listed = [{"label": label, "stance": stance} for label, stance in stances.items()]
    return {"topic": _topic(list(stances.values())), "stances": listed}


def _topic(stances: Sequence[str]) -> str:
    """What the first two stances share, as a few words; tiny models can't be asked for it as well."""
    first, second = ([word for word in _bare(stance).split() if len(word) > 3] for stance in stances[:2])
    shared = [word for word in dict.fromkeys(first) if word in second and word not in _DANGLING]
    return " ".join(shared[:3]) or "the question"


FIELDS: tuple[Field, ...] = (
    Field(
        "consensus",
        "What do all answers agree on?",
        "The answers agree that the trumpet should be rinsed.",
        lambda labels: '"The answers agree that" words "."',
        _after(r"(?:all |the |both )*(?:answers|responses) (?:all )?agree(?: that| on)?"),
        _least=2,
    ),
    Field(
        "contradictions",
        "Where does one answer contradict another?",
        "Answer A says to scrub with chalk, but Answer B says that chalk scratches brass.",
        _contradiction_root,
        _read_contradiction,
        _least=2,
    ),
    Field(
        "partial_coverage",
        "What do only some answers say?",
        "Answers B and C say to use wax.",
        _partial_root,
        _read_partial,
        _least=3,
    ),
    Field(
        "unique_insights",
        "What does only one answer say?",
        "Only Answer C says to grease the valves.",
        lambda labels: f'"Only Answer " {_any(labels)} " says" words "."',
        _read_unique,
    ),
    Field(
        "blind_spots",
        "What does no answer talk about?",
        "No answer talks about the mouthpiece.",
        lambda labels: '"No answer talks about" words "."',
        _after(r"(?:no answer|none of the answers) (?:talks|mentions)(?: about)?"),
    ),
)
"""The analysis's five fields, in the order in which they are asked."""
