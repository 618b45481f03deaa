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


_FUNCTION = re.compile(
    r"(?:\[\[\w+\]\] )?(?:inline |static |constexpr |const )*[\w:<>,&* ]+?[ &*>](\w+)\((.*?)\)(?: const)?(?: noexcept)? *(?:\{|;|$)"
)


def unnamed_definitions(text: str):
    """(namespace, name, line, what) of each definition at the left margin of an unnamed namespace; `what` tells overloads apart."""
    lines = without_comments(text, keep_strings=False).split("\n")
    namespaces, unnamed, line = [], False, 0
    while line < len(lines):
        first = lines[line].rstrip()
        number = line + 1
        line += 1
        if match := re.match(r"namespace ([\w:]+) \{$", first):
            namespaces.append(match[1])
        elif first == "namespace {":
            unnamed = True
        elif first == "}" and (unnamed or namespaces):
            # A body's end stands behind its head, which was read with it below.
            unnamed = False if unnamed else (namespaces.pop(), False)[1]
        elif unnamed and first and not first[0].isspace() and first[0] not in "#}":
            while not re.search(r"[;{}]$", first) and line < len(lines):
                first += " " + lines[line].strip()
                line += 1
            if first.endswith("{"):
                while line < len(lines) and not lines[line].startswith("}"):
                    line += 1
                line += 1
            if found := _definition(first):
                yield "::".join(namespaces), found[0], number, found[1]


def _definition(words: str):
    if match := re.match(r"(?:struct|class|enum(?: class)?) (\w+)", words):
        return match[1], "type"
    if match := re.match(r"(?:(?:__extension__ )?using|namespace) (\w+) = (.*);", words):
        return match[1], "= " + match[2]
    if words.startswith(("template", "using", "}")):
        return None
    if match := _FUNCTION.match(words):
        return match[1], "(" + re.sub(r"\s*\b\w+(?=,|$)", "", match[2]) + ")"
    if match := re.match(r"[\w:<>,*& ]+?[ *&](\w+)(?:\[\w*\])?(?: =| ?\{|\(|;)", words):
        return match[1], "value"
    return None
