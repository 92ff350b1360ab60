"""Text as a person may safely see it.

Here: what is done to characters that a terminal or a picture would obey rather than show. Not here: colours, layout.
"""

_NAMED = {10: "⏎", 9: "⇥"}
_CODES = (
    *range(0x20),  # control characters
    *range(0x7F, 0xA0),
    *range(0x200B, 0x2010),  # no width, or a change of direction
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xD800, 0xE000),  # halves of characters
    *(0xFEFF, 0xFFFE, 0xFFFF),
)
_SHOWN = {code: f"<0x{code:02X}>" for code in _CODES} | _NAMED


def visible(text: str) -> str:
    """The text with line breaks as ⏎, tabs as ⇥, and what has no shape of its own as its code, like <0x1B>."""
    return text.translate(_SHOWN)
