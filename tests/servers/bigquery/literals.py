"""Escape sequences of string literals (lexical structure page) that the SQL parser leaves alone: \\xHH, \\uHHHH, \\UHHHHHHHH, octal and a few more."""

import re

TOKEN = re.compile(r"""
    (?P<comment>--[^\n]*|\#[^\n]*|/\*.*?\*/)
  | (?P<name>`(?:\\.|[^`\\])*`)
  | (?P<left>\b(?:[rR][bB]?|[bB][rR]?)(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
  | (?P<text>'''(?:\\.|.)*?'''|\"\"\"(?:\\.|.)*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
""", re.S | re.X)
ESCAPE = re.compile(r"\\(?:[xX](?P<hex>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<octal>[0-7]{3})|(?P<one>[abfv?`])|(?P<rest>.))", re.S)
ONE = {"a": "\a", "b": "\b", "f": "\f", "v": "\v", "?": "?", "`": "`"}
AGAIN = {"'": "\\'", '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def unescaped(sql: str) -> str:
    return TOKEN.sub(lambda found: ESCAPE.sub(lambda one: character(one, found[0][0]), found[0]) if found["text"] else found[0], sql)


def character(found, quote: str) -> str:
    if found["rest"] is not None:
        # The other kind of quote needs no escape.
        return found["rest"] if found["rest"] in "'\"" and found["rest"] != quote else found[0]
    if found["one"]:
        return ONE[found["one"]]
    code = int(found["octal"], 8) if found["octal"] else int(found["hex"] or found["short"] or found["long"], 16)
    return AGAIN.get(chr(code), chr(code))
