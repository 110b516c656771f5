"""Takes nothing; gives the English words and patterns that tell who speaks, and `is_saying`.

One list per use, not per part of speech, so a word stands in as many of them as it has uses.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Marks that other modules put into texts and phrases

REPORTS = "reports"
"""The speaker of a sentence that only says "reportedly"."""
MAX_WORDS = 40
"""A phrase is looked for in this many words, so that a text without full stops is no trouble."""
INSIDE, OPENS, CLOSES = "\x00", "\x01", "\x02"
"""What stands for a quotation's characters and its marks in a masked text."""

# Verbs

_VERBS = frozenset(
    "accuse acknowledge add admit advise affirm agree allege announce answer argue ask assert "
    "back believe blame blast boast call caution charge cite claim comment complain concede "
    "conclude condemn confirm consider contend counter criticise criticize declare decline defend "
    "demand denounce describe disclose dismiss dispute doubt emphasise emphasize endorse estimate "
    "exclaim expect explain express fear favor favour hail hint hope indicate inform insist joke "
    "lament maintain mention muse note notice observe oppose plan pledge point praise predict "
    "press proclaim promise propose protest question quip react recall recommend refuse regard "
    "reiterate reject remark remember repeat report respond retort reveal rule say see seek shout "
    "show signal slam speculate state stress suggest support tell think threaten tweet urge vow "
    "want warn welcome wonder write".split()
)
"""Verbs of saying, in the form without an ending."""
_FORMS = frozenset(
    "demurred admitted denied denies deny felt found identified read reads replied replies said "
    "sought testified thought told worried worry wrote continued".split()
)
"""Further forms that no ending explains, and verbs that count in these forms only."""
NOUNS_TOO = frozenset(
    "answer back blame call charge claim comment demand dispute doubt estimate fear hope note "
    "plan point praise press promise protest question report request rule show signal state "
    "support tweet urge vow".split()
)
"""Verbs whose present tense is a noun as well."""
INVERTING_VERBS = frozenset(
    "add argue ask claim comment conclude continue declare exclaim explain insist joke note "
    "observe quip recall report respond say tell state warn write said told wrote replied read "
    "tweet".split()
)
"""Verbs that may stand before their subject ("…," said X)."""
STRONG_VERBS = frozenset("said says told added adds reported".split())
"""Verbs that tell the speaker of a sentence more surely than others."""

# Small words

FUNCTION_WORDS = frozenset(
    "the a an but and or so yet if when while as at in on by for from with of to after before "
    "since although though because however meanwhile he she it they we i you his her its their "
    "our my this that these those there here what who why how where which not no yes all some "
    "many most both each one two three four five six seven eight nine ten first last also then "
    "now once until during under over among according earlier later speaking today yesterday "
    "instead still even just only nor despite like moreover asked following amid either noting "
    "likewise update".split()
)
"""Words that are no name though a sentence or a headline writes them with a capital."""
DAYS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may "
    "june july august september october november december mondays tuesdays wednesdays thursdays "
    "fridays saturdays sundays mon tue wed thu fri sat sun jan feb aug sept oct nov dec".split()
)
DETERMINERS = frozenset(
    "the a an some many several other most both those these this that his her its their our my "
    "one two three few another any".split()
)
PRONOUNS = frozenset("he she it they".split())
POSSESSIVE_PRONOUNS = frozenset("his her its their".split())
PREPOSITIONS = frozenset("of for from at in within".split())
BEFORE_OBJECTS = PREPOSITIONS | {"to", "with", "on", "against"}
"""What stands before a name that is not the subject."""
LINKS = frozenset("but and however meanwhile so then still yet also or now later for".split())
"""What joins a sentence to the one before, and belongs to no phrase."""
OPENERS = frozenset(
    "in on at after when asked speaking despite as while during since although though following "
    "for with by if under before until among like instead according unlike".split()
)
"""What begins an introduction that a comma ends, before the subject of the sentence."""
BEFORE_VERB = frozenset(
    "has have had having also later then previously did does do not would will could can may "
    "might is are was were be been being further far often once earlier always never now still "
    "again all both just even only himself herself itself yesterday today tonight afterwards "
    "subsequently too since first long should must".split()
)
"""What may stand between a subject and its verb."""
BOUNDARIES = frozenset(
    "that and but or when while as after before because if although though since where whether so "
    "than until unless what how why which who whose whom without about into onto upon via despite "
    "is are was were has have had be been to during under against over between near on by with "
    "through killed wounded".split()
)
"""What ends a noun phrase."""
NOBODY = frozenset("no nobody i we you who there what that".split())
"""What begins a phrase that names nobody."""
NO_ROLE = BOUNDARIES | FUNCTION_WORDS | BEFORE_VERB
"""What ends the words before a name that say who that is."""

# Names and titles

TITLES = frozenset(
    "mr mrs ms miss dr sir lord lady dame prof professor president vice prime minister foreign "
    "defence defense interior finance health home shadow deputy former ex acting senator sen rep "
    "representative congressman congresswoman governor gov mayor general gen colonel col major "
    "maj captain capt lieutenant lt sergeant sgt commander admiral judge justice attorney "
    "secretary chancellor ambassador king queen prince princess pope cardinal bishop archbishop "
    "rev reverend father imam sheikh spokesman spokeswoman spokesperson chairman chairwoman chair "
    "chief executive director manager boss coach leader analyst economist editor author actor "
    "actress officer police republican democrat democratic labour tory conservative liberal "
    "candidate nominee frontrunner rival strategist adviser advisor aide pollster historian "
    "councillor councilman inspector detective senior junior syrian russian american british "
    "french german israeli turkish".split()
)
"""Left out where `same_speaker` compares two names."""
OFFICES = frozenset(
    "mr mrs ms miss dr sir lord lady dame prof professor president minister sen senator rep reps "
    "sens representative congressman congresswoman governor gov mayor gen general brig col "
    "colonel maj major capt captain lt lieutenant sgt commander admiral judge justice secretary "
    "chancellor ambassador speaker prince princess pope cardinal bishop archbishop rev reverend "
    "imam sheikh spokesman spokeswoman spokesperson chairman chairwoman chief director manager "
    "leader analyst mp mps msp mep dem dems republican democrat strategist inspector "
    "councillor".split()
)
"""What ends before a person's name: "House Committee Chairman Ana Brod"."""
PLACES = frozenset(
    "russia syria us u.s. uk eu un usa nato america britain germany france israel turkey iran "
    "iraq china japan labour tories conservatives moscow washington damascus ankara tehran london "
    "europe india lebanon beijing aleppo daesh hezbollah hamas".split()
)
"""Names of states, capitals and parties; what begins with one is a group."""
JOINTS = frozenset(("of", "for", "&"))
"""What joins the parts of a long name: "League of Bakers"."""
ABBREVIATIONS = {
    "EU": "European Union",
    "U.S.": "United States",
    "UN": "United Nations",
    "US": "United States",
}
"""Used where the article does not introduce an abbreviation itself."""

# Nouns

SOURCES = frozenset(
    "activists analysts authorities campaigners correspondent critics economists experts monitor "
    "observers official officials opponents police reporter residents source sources spokesman "
    "spokesperson spokeswoman statement supporters survivors witnesses".split()
)
"""Unnamed sources. They are described, not looked for among the names of the article."""
VAGUE_NOUNS = frozenset("source aide official officials spokesman spokeswoman people".split())
"""Nouns that say little without what follows: "source at the ministry"."""
DOCUMENTS = frozenset(
    "statement report letter memo tweet email e-mail filing speech remarks comments comment post "
    "message article release bulletin plan proposal op-ed video ad interview claim claims words "
    "research study survey poll figures data findings analysis lawsuit suit complaint statistics "
    "book editorial argument announcement position view account".split()
)
"""What is said stands for who says it: "a report by the council", "Ana Brod's speech"."""
STUDIES = frozenset(
    "poll survey study report research figures data statistics analysis lawsuit indictment".split()
)
"""Documents that are named as the source themselves: "a poll found …"."""
REACTIONS = DOCUMENTS | frozenset(
    "criticism backlash reaction questions concern concerns praise pressure opposition outrage "
    "reports complaints".split()
)
"""What is followed by whose it is: "criticism from …", "a statement by …"."""
GROUP_NOUNS = frozenset(
    "company firm group organisation organization agency ministry party government committee "
    "panel council union association paper newspaper network coalition watchdog monitor army team "
    "club commission court bank office charity website site regime movement body campaign country "
    "unit department administration outlet bureau giant airline magazine broadcaster channel "
    "retailer carrier studio band label nation".split()
)
"""What a group is called where its name is not repeated: "the company"."""
GROUP_WORDS = GROUP_NOUNS | frozenset(
    "observatory university institute congress parliament senate house force forces front brigade "
    "command corps corp inc ltd plc league times post journal radio tv television press news "
    "watch center centre foundation society service services fund nations states kingdom board "
    "international airlines motors pentagon kremlin democrats republicans rights media guard "
    "street church school affairs democracy weapons security".split()
)
"""Words that show a name to be a group's."""
STATE_BODIES = frozenset(
    "administration army campaign coalition government ministry opposition police regime".split()
)
"""Groups that an article seldom introduces by another name."""
NAMED_ELSEWHERE = frozenset("spokesman spokeswoman spokesperson monitor watchdog".split())
"""Who is named elsewhere in the article more often than not."""
MONITORS = frozenset("observatory monitor watch watchdog".split())
"""Words in the names of groups that are called a monitor."""
SPEAKING_NOUNS = (SOURCES | GROUP_WORDS | STUDIES | OFFICES) | frozenset(
    "people aide wife coach head star guru staff team crew family couple community public crowd "
    "person everyone attorney girl boy champion critic polling opposition".split()
)
"""What an unnamed speaker may be called, beside the words with an agent's ending."""
AGENT_ENDINGS = tuple("er or ist man men ian ant ee s".split())
"""Endings of words for people: baker, senator, tenant, residents."""

# Regular expressions

_SHORT = r"(?:[A-Z]\.)+|(?:Mrs?|Ms|Dr|Sens?|Reps?|Gov|Gen|Lt|Col|Sgt|St|Prof|Maj|Capt|Rev|Brig)\."
_NAME_WORD = rf"(?:{_SHORT}|[A-Z0-9]?(?:di|de|Mc)?[A-Z][\w’'\-]*|(?:al|el|as|ash)-[A-Z][\w\-]*)"
NAME = re.compile(
    rf"{_NAME_WORD}(?:[ \xa0](?:(?:of the|of|for the|for|&|de|der|van|von|bin|al) )?{_NAME_WORD})*"
)
PAIR = re.compile(rf"({NAME.pattern}) and (?:the |former )?({NAME.pattern})")
TOKEN = re.compile(rf"{_SHORT}|\d[\d,.]*\d|[\w’'\-&]+|[\x00-\x02]+|[^\w\s]")
CLITIC = re.compile(r"\b([Hh]e|[Ss]he|[Ii]t|[Tt]hey|I|[Ww]e)['’](?:s|d|ll|ve|re|m)\b")
BRACKETS = re.compile(
    r"\([^()\n]{0,60}\)|(?<=, )[DRI]-[A-Z][\w.]*,?"
    r"|(?<=, )(?:Democrat|Republican)s? of (?:(?:New|North|South|West) )?[A-Z]\w+,?"
    r"|^[A-Z][A-Z .,]{2,30}(?:\([A-Z]\w+\) )?(?:—|–|--?) "
)
"""Also the party after a politician's name: "(D-Calif.)", ", R-Ky.,"; and where it was written."""
APPOSITION = re.compile(r",? (?:who is |is |was )?(?:an?|the|one of)? ?([\w\s\-’']+)")
POSSESSIVE = re.compile(r"['’]s?$")
CONTROL = re.compile(r"[\x00-\x02]")
QUOTATION_MARK = re.compile(r"[“”\"\n]|''|``|’’|‘‘")


@lru_cache(maxsize=8192)
def is_saying(word: str, *, nouns: bool = True) -> bool:
    """Whether a word is a form of a verb of saying; those that are nouns as well only if wanted."""
    lowered = word.lower()
    bases = {lowered}
    if lowered.endswith(("s", "d")):
        bases |= {lowered[:-1], lowered[:-2]} if lowered[-2:] in ("es", "ed") else {lowered[:-1]}
    if not (nouns and word == lowered) and lowered[-2:] != "ed" and not NOUNS_TOO.isdisjoint(bases):
        return False
    return lowered in _FORMS or not _VERBS.isdisjoint(bases)
