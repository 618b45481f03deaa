"""Splits a multi-statement query into statements and control structures (page "Procedural language")."""

from dataclasses import dataclass, field

from sqlglot.dialects import BigQuery
from sqlglot.tokens import TokenType


class Words(BigQuery.Tokenizer):
    """BEGIN, EXCEPTION and the like as words of their own, not as commands that swallow the rest."""

    COMMANDS = set()

from .errors import bad_query
from .literals import unescaped


@dataclass
class Plain:
    sql: str


@dataclass
class Block:
    body: list = field(default_factory=list)
    handler: list | None = None


@dataclass
class If:
    branches: list = field(default_factory=list)  # (condition SQL or None, statements)


@dataclass
class Assertion:
    """Debugging statements page: ASSERT expression [AS description]."""

    condition: str
    description: str = "Assertion failed"


class Splitter:
    def __init__(self, sql: str):
        self.sql = sql
        try:
            self.tokens = list(Words(dialect=BigQuery).tokenize(sql))
        except Exception as error:
            raise bad_query(f"Syntax error: {error}") from None
        self.at = 0

    def word(self, ahead: int = 0) -> str:
        where = self.at + ahead
        return self.tokens[where].text.upper() if where < len(self.tokens) and self.tokens[where].token_type != TokenType.STRING else ""

    def statements(self, *ends: str) -> list:
        out = []
        while self.at < len(self.tokens):
            if self.tokens[self.at].token_type == TokenType.SEMICOLON:
                self.at += 1
                continue
            if self.word() in ends and not (self.word() == "END" and False):
                return out
            out.append(self.statement())
        if ends:
            raise bad_query(f"Syntax error: Expected keyword {' or '.join(ends)} but got end of script")
        return out

    def statement(self):
        if self.word() == "BEGIN" and self.word(1) not in ("TRANSACTION", ";", "") :
            self.at += 1
            block = Block(self.statements("END", "EXCEPTION"))
            if self.word() == "EXCEPTION":
                self.at += 4  # EXCEPTION WHEN ERROR THEN
                block.handler = self.statements("END")
            self.at += 1
            return block
        if self.word() == "IF" and self.word(1) != "(" or self.word() == "IF" and self._then():
            return self.conditional()
        if self.word() == "ASSERT":
            return self.assertion()
        start = self.tokens[self.at].start
        while self.at < len(self.tokens) and self.tokens[self.at].token_type != TokenType.SEMICOLON:
            self.at += 1
        return Plain(self.sql[start:self.tokens[self.at - 1].end + 1])

    def assertion(self) -> Assertion:
        self.at += 1
        first = self.at
        while self.at < len(self.tokens) and self.tokens[self.at].token_type != TokenType.SEMICOLON:
            self.at += 1
        last = self.tokens[self.at - 1]
        described = self.at - 2 > first and last.token_type == TokenType.STRING and self.tokens[self.at - 2].text.upper() == "AS"
        end = self.tokens[self.at - 3 if described else self.at - 1].end
        condition = self.sql[self.tokens[first].start:end + 1]
        return Assertion(condition, last.text) if described else Assertion(condition)

    def _then(self) -> bool:
        for ahead in range(self.at, len(self.tokens)):
            if self.tokens[ahead].token_type == TokenType.SEMICOLON:
                return False
            if self.tokens[ahead].text.upper() == "THEN":
                return True
        return False

    def conditional(self) -> If:
        made = If()
        while True:
            condition = None
            if self.word() in ("IF", "ELSEIF"):
                self.at += 1
                start = self.tokens[self.at].start
                while self.word() != "THEN":
                    self.at += 1
                    if self.at >= len(self.tokens):
                        raise bad_query("Syntax error: Expected keyword THEN")
                condition = self.sql[start:self.tokens[self.at - 1].end + 1]
            self.at += 1
            made.branches.append((condition, self.statements("ELSEIF", "ELSE", "END")))
            if self.word() == "END":
                self.at += 2  # END IF
                return made


def split(sql: str) -> list:
    return Splitter(unescaped(sql)).statements()
