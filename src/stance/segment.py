"""Takes the text of an English news article, gives the spans of its sentences.

Paragraphs are told apart by their line breaks. Inside a paragraph the Punkt engine of `nupunkt`
decides at full stops, question marks, exclamation marks and ellipses; it is given the
abbreviations of a newsroom in place of its own, which were learned from court documents. A few of
its boundaries are taken back afterwards. docs/segmentation.md has the figures and the known errors.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from nupunkt import PunktParameters, PunktSentenceTokenizer

Span = tuple[int, int]
"""Code-point offsets into a text, end exclusive."""

ABBREVIATIONS = """
    mr mrs ms messrs dr prof rev hon st sr jr mt ft
    gen lt col maj capt cmdr adm sgt cpl pvt brig
    pres gov sen sens rep reps sec atty dist supt det insp
    jan feb apr aug sept oct nov dec
    ala ariz calif colo conn del fla ga ind kan ky md mich minn mo mont neb nev okla
    pa penn tenn tex va vt wis wyo
    inc corp co cos ltd bros assn dept univ
    vs v etc approx est ave blvd rd
"""
"""Abbreviations of news English, lower case, without their full stop. Those that are words as well
(ill, mass, no, ore, sun) are left out: they would hide a boundary more often than save one."""

STARTERS = """
    a an and after although as at because before but by despite during for from he her here his how
    however i if in instead it its last later many meanwhile most my no not on one other others our
    she since so some still that the their then there these they this those though to today under
    until we what when where while who why with yet you
"""
"""Words that begin a sentence when they are capitalised after an abbreviation ("at 5 p.m. The")."""

LONGEST_WORD = 200
"""Code points. The engine's time is quadratic in the length of a run without white space, and a
longer run is data and no word: what looks like punctuation inside it is hidden from the engine."""

WRAPPED_LINE = 40
"""Code points. A line as long as this that goes on in lower case was broken by its width."""

_STARTERS = frozenset(STARTERS.split())
_NEWLINE = re.compile(r"\n")
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n|[\v\f\x1c-\x1e\x85\u2028\u2029]|\r(?!\n)")
_WRAP = re.compile(r"[\w,;]\r?\n[a-z]")
_STOP = re.compile(r"[.?!…]")
_LONG_RUN = re.compile(rf"\S{{{LONGEST_WORD},}}")
_OPENING_QUOTE = re.compile(r"[“‘]|(?<!\S)'+(?=\w)")
_NO_WORD = re.compile(r"[\W_]+")
_RESUMES = re.compile(r"[)\]}”’»,:;]|[–—―]|-+\s*[a-z]")
_INITIALISM = re.compile(r"(?:\b[^\W\d_]\.){2,}[\"'”’)\]]*\Z")
_NUMERO = re.compile(r"\bNos?\.\Z")
_FIRST_WORD = re.compile(r"[\W_]*([^\W_]+)")


def segment(text: str) -> list[Span]:
    """Spans of the sentences of a text, in order.

    No span is empty, begins or ends with white space or overlaps another, and every code point
    that is not white space lies in one of them. Takes any text and linear time.
    """
    return [span for start, end in paragraphs(text) for span in _sentences(text, start, end)]


def paragraphs(text: str) -> Iterator[Span]:
    """Spans of the paragraphs of a text, without outer white space.

    In news text a line is a paragraph. A block of lines is one paragraph if it was wrapped to a
    width, which shows in a line that breaks off and goes on in lower case.
    """
    for start, end in _between(_BLANK_LINES, text, 0, len(text)):
        if _is_wrapped(text, start, end):
            yield start, end
        else:
            yield from _between(_NEWLINE, text, start, end)


def _between(separator: re.Pattern[str], text: str, start: int, end: int) -> Iterator[Span]:
    for match in separator.finditer(text, start, end):
        yield from _stripped(text, start, match.start())
        start = match.end()
    yield from _stripped(text, start, end)


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    content = text[start:end]
    left = end - len(content.lstrip())
    right = start + len(content.rstrip())
    if left < right:
        yield left, right


def _is_wrapped(text: str, start: int, end: int) -> bool:
    return any(
        wrap.start() - max(start, text.rfind("\n", start, wrap.start()) + 1) >= WRAPPED_LINE
        for wrap in _WRAP.finditer(text, start, end)
    )


@cache
def _engine() -> PunktSentenceTokenizer:
    parameters = PunktParameters(
        abbrev_types=set(ABBREVIATIONS.split()), sent_starters=set(_STARTERS)
    )
    engine = PunktSentenceTokenizer(parameters, include_common_abbrevs=False)
    engine.EXCL_QUEST_LOWERCASE_CONTINUES = True  # "the group Act Now! said"
    return engine


def _hide(run: re.Match[str]) -> str:
    return "x" * (len(run[0]) - 3) + run[0][-3:]


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """Sentence spans of one paragraph, from the engine's boundaries."""
    if not _STOP.search(text, start, end):
        yield start, end
        return
    paragraph = _LONG_RUN.sub(_hide, text[start:end])
    # Most opening quotation marks are part of the word to the engine, and “Mr. no abbreviation.
    paragraph = _OPENING_QUOTE.sub(lambda quote: "`" * len(quote[0]), paragraph)
    cuts = [start + cut for _, cut in _engine().span_tokenize(paragraph)]
    pieces = [
        piece
        for left, right in zip([start, *cuts], [*cuts, end], strict=True)
        for piece in _stripped(text, left, right)
    ]
    first = start
    for (_, cut), (left, right) in pairwise(pieces):
        if not _continues(text, cut, left, right):
            yield first, cut
            first = left
    yield first, end


def _continues(text: str, cut: int, start: int, end: int) -> bool:
    """Whether the piece from start to end belongs to the sentence that the engine ended at cut."""
    if _RESUMES.match(text, start, end) or _NO_WORD.fullmatch(text, start, end):
        return True
    word = _FIRST_WORD.match(text, start, end)
    if word is None:
        return False
    if _INITIALISM.search(text, max(0, cut - 24), cut):
        # The name of a body ("the F.A.A. said") and a dateline ("ELM CREEK, N.D. - The") go on.
        starts = word[1][0].isupper() and word[1].lower() in _STARTERS
        return not starts or text[start] == "-"
    return word[1][0].isdigit() and _NUMERO.search(text, max(0, cut - 8), cut) is not None
