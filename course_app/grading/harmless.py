"""What a submission says, made safe to show: a terminal obeys some characters, and hides others."""

import unicodedata

#: Control characters, and those that are invisible or turn the direction of the text round.
_UNSEEN = ("Cc", "Cf", "Cs")
_LAYOUT = "\n\t"


def harmless(text: str) -> str:
    """The text with each such character written out, as in ``\\x1b``."""
    return "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    if character in _LAYOUT or unicodedata.category(character) not in _UNSEEN:
        return character
    return ascii(character)[1:-1]
