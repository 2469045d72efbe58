"""JSON that nobody looks into, exactly as the venue sent it.

Decoding and encoding again would collapse members that an object repeats and change the digits of
`-0`, so text is rewritten only where it has to be: white space between tokens goes, and escapes in
strings become text. What most venues send needs neither and is passed on as it is.
"""

from __future__ import annotations

import re

import msgspec

_REWRITTEN = b"\\\t\r\n"
"""What never stays as it is; spaces may, inside strings."""
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
# Searched for fast because it begins with its literal. What it finds inside a string by mistake
# comes out the same, a little later.
_SPACE = re.compile(rb" (?:[\]},: ]|(?<=[\[{,:] ))").search
_STRING_OR_SPACE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[ \t\r\n]++', re.DOTALL)


def exact_json(raw: bytes | msgspec.Raw) -> msgspec.Raw:
    """Return JSON in compact form with members, digits and text unchanged and nothing escaped.

    Args:
        raw: UTF-8.

    Raises:
        msgspec.DecodeError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    whole = _whole(raw)
    text = bytes(whole)
    if len(text.translate(None, _REWRITTEN)) == len(text) and not _SPACE(text):
        return whole
    return msgspec.Raw(_STRING_OR_SPACE.sub(_rewritten, text))


def _rewritten(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token[:1] != b'"':
        return b""
    return _encode(_text(token)) if b"\\" in token else token
