"""Just enough of C++ for tidy.py: text without comments, and where functions begin and end."""

import re

_TOKEN = re.compile(
    r"""//[^\n]*                                    # comments
      | /\*.*?\*/
      | (?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]*)\(.*?\)(?P=delimiter)"  # raw strings
      | (?:u8|[uUL])?"(?:\\.|[^"\\\n])*"            # strings
      | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'         # characters, but not the quote of 1'000
    """,
    re.X | re.S,
)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str, keep_strings: bool) -> str:
    """The same text, line for line, with comments (and what strings hold) blanked out."""

    def replace(match: re.Match) -> str:
        token = match[0]
        if token.startswith(("//", "/*")):
            return _blank(token)
        if keep_strings or "include" in text[max(0, match.start() - 10):match.start()]:
            return token
        return '"' + _blank(token[1:-1]) + '"'

    return _TOKEN.sub(replace, text)


def function_lengths(text: str):
    """(name, line, number of lines) of each function body, lambdas counted within their function."""
    code = without_comments(text, keep_strings=False)
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda match: _blank(match[0]), code, flags=re.M | re.S)
    open_scopes = []  # (kind, name, line of the brace)
    statement = 0     # where the text before the next brace begins
    line = 1
    pending = None    # the constructor whose member initializers use braces
    for position, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            kind, name = _kind(code[statement:position], open_scopes, pending)
            open_scopes.append((kind, name, line))
            statement = position + 1
        elif char == "}" and open_scopes:
            kind, name, start = open_scopes.pop()
            if kind == "function":
                if line > start:
                    yield name, start, line - start - 1
                pending = name
            statement = position + 1
        elif char == ";":
            statement = position + 1
            pending = None
        elif char == ":" and code[position - 1] in "cde" and re.search(r"\b(public|private|protected)$", code[statement:position]):
            statement = position + 1


def _kind(before: str, open_scopes, pending):
    if any(kind == "function" for kind, _, _ in open_scopes):
        return "block", ""
    words = " ".join(before.split())
    if re.match(r"(?:export )?(?:inline )?namespace\b|extern \"", words):
        return "namespace", ""
    if "(" in words and not words.endswith("="):
        name = re.search(r"([~\w:]+|operator\s*[^\s(]+)\s*\(", re.sub(r"^(?:template\s*<.*?>\s*)", "", words))
        if not re.match(r"(?:template\s*<.*>\s*)?(?:class|struct|union|enum)\b(?!.*\)\s*(?:const|noexcept|override|->.*)?$)", words):
            return "function", name[1] if name else "function"
    if re.match(r"(?:template\s*<.*>\s*)?(?:class|struct|union|enum)\b", words):
        return "type", ""
    if pending and (not words or words.startswith(",")):
        return "function", pending
    return "value", ""
