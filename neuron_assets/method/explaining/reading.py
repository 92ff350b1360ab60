"""What counts as an explanation: one sentence of bounded length that says what a neuron looks for.

A model says much else: it thinks aloud, declines, lists, repeats what it was shown. Such a text would be simulated and
scored like any other, so it is refused here; and what only dresses the sentence is taken off.

Here: the rules, and how a numbered list is parted. Not here: the question (`layouts.py`); refusals that the server
tells of, cut-off replies and blocks of thinking (`method/replies.py`).
"""

import re
from collections.abc import Sequence

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.fencing import FENCE, Marks
from neuron_assets.method.questions import Reply
from neuron_assets.method.replies import answer_text

LONGEST = 300
"""Characters of an explanation, after what dresses it is taken off."""


def read_explanation(reply: Reply, *, told_before: Sequence[str] = (), fence: Marks = FENCE) -> str:
    """The explanation in a reply; raises UnreadableReply as `answer_text` and `explanation_in` do."""
    return explanation_in(answer_text(reply), told_before=told_before, fence=fence)


def explanation_in(text: str, *, told_before: Sequence[str] = (), fence: Marks = FENCE) -> str:
    """The explanation in a text: without lead-in ("This neuron looks for"), quotes, markdown, final full stop.

    `told_before` are explanations that the prompt gave as examples, `fence` are its marks around excerpts. Raises
    UnreadableReply with a plain reason where the text declines, thinks aloud, repeats the prompt or one of its
    examples, has several lines or sentences, broken or control characters, more than LONGEST characters or no word.
    """
    if len(text) > 10 * LONGEST:
        raise UnreadableReply(f"{len(text)} characters, where {LONGEST} are the most", text)
    if _ECHO.search(text) or fence.start in text or fence.end in text:
        raise UnreadableReply("repeats the prompt", text)
    explanation = _undressed(_closed_up(text))
    if len(explanation) > LONGEST:
        raise UnreadableReply(f"{len(explanation)} characters, where {LONGEST} are the most", text)
    for reason, wrong in _REFUSED:
        if wrong.search(explanation):
            raise UnreadableReply(reason, text)
    if _SENTENCE_END.search(_ABBREVIATION.sub("", _QUOTED.sub("", explanation))):
        raise UnreadableReply("several sentences", text)
    if not any(character.isalpha() for character in explanation):
        raise UnreadableReply("no word", text)
    if explanation.casefold() in {_undressed(told).casefold() for told in told_before}:
        raise UnreadableReply("repeats an example of the prompt", text)
    return explanation


def read_numbered_list(text: str) -> list[str]:
    """The entries of a list such as `1. rivers`, `2. lakes`, one a line; a text without numbers is one entry.

    The first number may be missing, for a prompt may end with it.
    """
    first = re.sub(r"\A\s*1\.", "", text)
    return [entry.strip() for entry in re.split(r"\n\d+\.", first)]


def without_final_period(text: str) -> str:
    """The text without white space at its end and without one full stop there."""
    return text.rstrip().removesuffix(".")


def _closed_up(text: str) -> str:
    """One white space for several: a pattern takes its time over the ways to part them."""
    return _SPACES.sub(lambda spaces: "\n" if "\n" in spaces[0] else " ", text)


def _undressed(text: str) -> str:
    return _stripped(without_final_period(_stripped(text)))


def _stripped(text: str) -> str:
    while True:
        before = text
        text = _unwrapped(text.strip())
        for dressing in _DRESSING:
            text = dressing.sub("", text, count=1)
        if text == before:
            return text


def _unwrapped(text: str) -> str:
    """Without quotes or emphasis around the whole; `"a" or "b"` keeps its quotes."""
    for start, end in _WRAPPERS:
        inside = text.removeprefix(start).removesuffix(end)
        if len(inside) == len(text) - len(start) - len(end) and start not in inside and end not in inside:
            return inside
    block = _CODE_BLOCK.fullmatch(text)
    return block["inside"] if block else text


def _pattern(text: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """Any white space for a space, either apostrophe for one."""
    return re.compile(text.replace(" ", r"\s+").replace("'", "['\u2019]"), flags)


_SPACES = re.compile(r"\s{2,}")
_WRAPPERS = (("**", "**"), ("__", "__"), *((mark, mark) for mark in "*_`\"'"), ("“", "”"), ("\u2018", "\u2019"))
_CODE_BLOCK = re.compile(r"```\w*\n(?P<inside>[^`]*)```")

_END = r"(?=[\s:.*]|\Z)[*_]*:?[*_]*\s*"
_ADVERB = r"(?:(?:most )?\w+ly )?"
_SUBJECT = r"(?:(?:this|the) neuron|neuron #?\d+|it) (?:(?:appears|seems|tends) to )?(?:is |be )?"
_LOOKS_FOR = (
    rf"(?:look(?:s|ing)?|responds?|responsive|reacts?|fires?|firing|activates?|active|sensitive|tuned) {_ADVERB}"
    rf"(?:for|to|on|at){_END}"
)
_DETECTS = rf"(?:detect(?:s|ing)?|finds?|finding|recogni[sz](?:es?|ing)|identif(?:y|ies|ying)){_END}"

_DRESSING = tuple(
    _pattern(rf"\A(?:{dressing})")
    for dressing in (
        r"(?:>|#{1,6}|[-*•]|\d+[.)])[^\S\n]+(?!.*\n)",  # of a quotation, a heading, a list of one
        r"(?:\.{3}|…)\s*",
        r"[*_#]*(?:sure[,.!]? )?here(?:'s| is) [^:\n]{1,60}:[*_\s]*",
        r"[*_#]*(?:(?:the|my|final) )*(?:explanation|answer|summary)(?: (?:of|for) [^:\n]{1,40})?[*_]*:[*_\s]*",
        r"[*_#]*neuron \d+[*_]*:[*_\s]*",
        r"(?:based on|given|judging (?:by|from)) [^,.\n]{1,80}, (?=(?:this|the) neuron\b)",
        rf"[*_]*{_SUBJECT}{_ADVERB}(?:{_LOOKS_FOR}|{_DETECTS})",
        rf"(?:the main thing )?(?:that )?(?:this|the) neuron does is (?:to )?(?:find|look for){_END}",
        rf"(?:looks|looking) for{_END}",
    )
)

_ECHO = _pattern(
    r"\t(?:10|\d)[^\S\n]*(?:\n|\Z)|^Neuron \d+ (?:Activations|Excerpts):"
    r"|^Without the zeros:|End the sentence:",
    re.IGNORECASE | re.MULTILINE,
)

_IS_SAID = r"(?!, (?:i|we|you|they)\b|, \w+n't\b| (?:and|or)\b)"
"""Not the beginning of a list of such words, of which an explanation may speak."""

_REFUSED = (
    # Broken characters, half characters (which no file takes), and control characters but for white space.
    ("unreadable characters", re.compile(r"[\ufffd\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")),
    ("thinks aloud", _pattern(r"[<\[]/?(?:think|thinking|thought|reasoning)[>\]]|<\|(?:channel|message|im_\w+)\|>")),
    (
        "the model declines",
        _pattern(
            r"\A(?:i(?:'m| am) (?:very |so |really )?(?:sorry|unable|not able|afraid)|sorry[,.!]? (?:but )?i\b"
            r"|i apologi[sz]e\b"
            rf"|i (?:can't|cannot|can not|couldn't|could not|won't|will not|don't|do not)\b{_IS_SAID}"
            r"|unfortunately,(?! \w+ly\b)|as an? (?:ai|(?:large )?language model)\b"
            r"|there (?:is|are) (?:no|not|insufficient) \w"
            r"|no (?:clear|obvious|consistent|common|discernible),? (?:\w+,? ){0,3}(?:pattern|theme|topic|thread"
            r"|concept|feature|meaning|link|connection|relation|commonalit|denominator|explanation|interpretation"
            r"|answer|function|purpose|trend|trigger|activation|signal)"
            r"|(?:not enough|insufficient) (?:information|data|context|excerpts)\b"
            r"|(?:none|null|n/?a|nothing|unknown|unclear|not sure|no (?:explanation|answer|pattern))\W*\Z)"
        ),
    ),
    (
        "thinks aloud",
        _pattern(
            r"\A(?:(?:(?:okay|ok|alright|all right|hmm+|wait|so|well|sure|certainly|of course|first|now)\s*[,.!:]* )+"
            r"(?:i|i'll|i'm|let|let's|we|we're|the (?:user|task|neuron|excerpts?|activations?)|this neuron|here"
            r"|looking)\b"
            r"|let(?:'s| me| us) (?:\w+ly )?(?:analy[sz]e|look|see|think|examine|consider|start|begin|break|go|check"
            r"|try|find|figure|identify)\b"
            r"|looking at (?:the|these|this|all)\b|to (?:determine|find|identify|explain) (?:what|this|the)\b.*, "
            r"|(?:after )?(?:analy[sz]ing|examining|reviewing) (?:the|these|this)\b"
            r"|(?:we|i)(?: (?:need|have|are|am|see|think|notice|observe|should|must|will|would)|'(?:re|ve|ll|m|d))\b"
            rf"{_IS_SAID}"
            r"|the (?:user|task|question|prompt) (?:is|asks?|asked|wants?|has|gives?|gave|provided|provides)\b"
            r"|the (?:excerpts|activations|recordings|data|strong(?:est)? tokens) "
            r"(?:show|shows|suggest|suggests|indicate|indicates|are|is|seem)\b"
            r"|(?:thinking process|analysis|step \d+|thought)\s*:)"
        ),
    ),
    (
        "markup instead of a sentence",
        re.compile(r"\A(?:\{\s*\".*\}|\[(?:\s*[\"{\[].*|[^\[\]]*)\]|<(\w+)>.*</\1>)\Z", re.DOTALL),
    ),
    ("a list", _pattern(r"^\s*(?:[-*•]|\d+[.)])\s.*\n\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)),
    ("several lines", re.compile(r"\n")),
)

_QUOTED = re.compile(r'"[^"]*"|“[^”]*”|`[^`]*`|«[^»]*»|\([^()]*\)')
_ABBREVIATION = re.compile(
    r"\b(?:mrs?|ms|messrs|dr|prof|hon|rev|gov|sen|rep|gen|maj|col|capt|lt|sgt|ph|st|mt|ft|ave|jr|sr|vs|viz|etc|inc|ltd"
    r"|corp|bros|co|univ|dept|nos?|vols?|pp|chs?|eds?|al|figs?|approx|cf|jan|feb|apr|aug|sept?|oct|nov|dec|[a-z])\.",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]['\u2019]?\s+['\u2018]?[A-Z]")
