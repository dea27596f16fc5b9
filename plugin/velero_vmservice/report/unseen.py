"""Characters that show nothing, move the cursor or turn text around: names and messages are somebody else's words."""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
"""Control, bidirectional and zero-width characters; tab and line feed are harmless."""


def spelled_out(text: str) -> str:
    r"""Return the text with each such character as its escape, e.g. `\u202e`."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
