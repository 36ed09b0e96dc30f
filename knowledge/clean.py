"""Foreign text made safe before it is kept: what a reader cannot see is taken out, what a chat template would obey is broken up."""

from __future__ import annotations

import re
import unicodedata

# Zero-width, bidirectional and tag characters, private use, halves of pairs: invisible, and able to hide or turn around words.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TEMPLATE = re.compile(r"<(\|[^<>|]{0,40}\|?|/?s|/?(?:INST|SYS|tool_call|tool_response|think))>|\[(/?INST)\]", re.I)
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2011": "-"})


def cleaned(text: str) -> str:
    r"""`text` without control and invisible characters, composed (NFC), its chat-template marks broken so that no model takes them for its own.

    >>> cleaned("im\u00adpedance <|im_start|>")
    'impedance ‹|im_start|›'
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text).translate(_LIGATURES))
    if not text.isprintable():
        text = _CONTROL.sub("", text.replace("\t", " "))
    return _TEMPLATE.sub(lambda match: f"‹{match[1] or match[2]}›", text) if "<" in text or "[" in text else text
