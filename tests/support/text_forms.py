"""Parsers for PostgreSQL's own text forms, written from its manual and independent of the program under test."""

import re

UNIX_EPOCH = 719468  # days from 0000-03-01 to 1970-01-01


def days_from_civil(year: int, month: int, day: int) -> int:
    """Proleptic Gregorian date (astronomical year) to days since 1970, for any year."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - UNIX_EPOCH


def parse_date(text: str):
    if text in ("infinity", "-infinity"):
        return text
    body, bc = (text[:-3], True) if text.endswith(" BC") else (text, False)
    year, month, day = (int(part) for part in body.split("-"))
    return days_from_civil(1 - year if bc else year, month, day)


def parse_time(text: str) -> int:
    hours, minutes, seconds = text.split(":")
    whole, _, fraction = seconds.partition(".")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 1_000_000 + int((fraction + "000000")[:6])


def parse_timetz(text: str) -> tuple[int, int]:
    """Microseconds of the day, and seconds east of Greenwich."""
    time, sign, zone = re.fullmatch(r"([\d:.]+)([+-])([\d:]+)", text).groups()
    parts = [int(part) for part in zone.split(":")] + [0, 0]
    return parse_time(time), (parts[0] * 3600 + parts[1] * 60 + parts[2]) * (1 if sign == "+" else -1)


def parse_timestamp(text: str):
    """Microseconds since 1970; the session's time zone is UTC, so `+00` says nothing."""
    if text in ("infinity", "-infinity"):
        return text
    bc = text.endswith(" BC")
    day, time = (text[:-3] if bc else text).split(" ")
    return parse_date(day + (" BC" if bc else "")) * 86_400_000_000 + parse_time(time.removesuffix("+00"))


def parse_interval(text: str) -> tuple[int, int, int]:
    """`postgres` interval style to (months, days, microseconds)."""
    months = days = micros = 0
    for number, unit in re.findall(r"([+-]?\d+) (year|mon|day)s?", text):
        if unit == "day":
            days += int(number)
        else:
            months += int(number) * (12 if unit == "year" else 1)
    clock = re.search(r"([+-]?)(\d+:\d\d:\d\d(?:\.\d+)?)", text)
    if clock:
        micros = parse_time(clock[2]) * (-1 if clock[1] == "-" else 1)
    return months, days, micros


def parse_google_interval(text: str) -> tuple[int, int, int]:
    """BigQuery's canonical format, "Y-M D H:M:S[.F]": each sign stands before its group."""
    sign, years, months, days, minus, clock = re.fullmatch(r"(-?)(\d+)-(\d+) (-?\d+) (-?)(\d+:\d+:\d+(?:\.\d+)?)", text).groups()
    return (int(years) * 12 + int(months)) * (-1 if sign else 1), int(days), parse_time(clock) * (-1 if minus else 1)


class Scanner:
    def __init__(self, text: str):
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, expected: str = "") -> str:
        taken = self.text[self.at]
        assert not expected or taken in expected, f"{expected!r} expected at {self.at} of {self.text!r}"
        self.at += 1
        return taken

    def token(self, stop: str) -> tuple[str, bool]:
        """The characters up to one of `stop`, quotes and backslashes undone; and whether any of it was quoted."""
        out, quoted = [], False
        while self.at < len(self.text) and self.peek() not in stop:
            character = self.take()
            if character == "\\":
                out.append(self.take())
            elif character == '"':
                quoted = True
                while True:
                    character = self.take()
                    if character == "\\":
                        out.append(self.take())
                    elif character != '"':
                        out.append(character)
                    elif self.peek() == '"':
                        out.append(self.take())
                    else:
                        break
            else:
                out.append(character)
        return "".join(out), quoted


def parse_array(text: str, delimiter: str = ",") -> tuple[list, int]:
    """Nested lists of element texts (None for NULL), and the number of dimensions (0 when empty)."""
    text = re.sub(r"^(\[[-\d]+:[-\d]+\])+=", "", text)
    if text == "{}":
        return [], 0
    scanner = Scanner(text)

    def level():
        scanner.take("{")
        items = []
        while True:
            if scanner.peek() == "{":
                items.append(level())
            else:
                item, quoted = scanner.token(delimiter + "}")
                items.append(None if item == "NULL" and not quoted else item)
            if scanner.take(delimiter + "}") == "}":
                return items

    return level(), len(text) - len(text.lstrip("{"))


def parse_record(text: str) -> list:
    scanner = Scanner(text)
    scanner.take("(")
    fields = []
    while True:
        field, quoted = scanner.token(",)")
        fields.append(None if field == "" and not quoted else field)
        if scanner.take(",)") == ")":
            return fields


def parse_range(text: str):
    """(lower, upper, lower_inclusive, upper_inclusive) as texts, or None when empty."""
    if text == "empty":
        return None
    scanner = Scanner(text)
    opening = scanner.take("[(")
    lower, lower_quoted = scanner.token(",")
    scanner.take(",")
    upper, upper_quoted = scanner.token(")]")
    closing = scanner.take(")]")
    return (lower if lower or lower_quoted else None, upper if upper or upper_quoted else None,
            opening == "[", closing == "]")


def split_multirange(text: str) -> list[str]:
    """The texts of the ranges; quotes stay, for parse_range to undo."""
    ranges, start, quoted = [], None, False
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "[(":
            start = at
        elif not quoted and character in ")]":
            ranges.append(text[start:at + 1])
    return ranges


def parse_hstore(text: str) -> dict:
    scanner, pairs = Scanner(text), {}
    while scanner.peek():
        key, _ = scanner.token("=")
        scanner.take("="), scanner.take(">")
        value, quoted = scanner.token(",")
        pairs[key] = None if value == "NULL" and not quoted else value
        if scanner.peek() == ",":
            scanner.take(","), scanner.take(" ")
    return pairs
