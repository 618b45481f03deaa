#include "transform/events/ddl.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "transform/events/ddl_tokens.h"

namespace penstock::events {
namespace {

using data::Kind;

constexpr int deepest = 15;  // BigQuery's own limit

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

std::optional<Kind> kind_of(const std::string& name) {
    static constexpr std::pair<std::string_view, Kind> kinds[] = {{"STRING", Kind::text},
                                                                  {"TEXT", Kind::text},
                                                                  {"VARCHAR", Kind::text},
                                                                  {"INT64", Kind::int64},
                                                                  {"INTEGER", Kind::int64},
                                                                  {"INT", Kind::int64},
                                                                  {"BIGINT", Kind::int64},
                                                                  {"SMALLINT", Kind::int64},
                                                                  {"FLOAT64", Kind::float64},
                                                                  {"DOUBLE", Kind::float64},
                                                                  {"BOOL", Kind::boolean},
                                                                  {"BOOLEAN", Kind::boolean},
                                                                  {"BYTES", Kind::bytes},
                                                                  {"DATE", Kind::date},
                                                                  {"TIME", Kind::time},
                                                                  {"DATETIME", Kind::timestamp},
                                                                  {"TIMESTAMP", Kind::timestamptz},
                                                                  {"TIMESTAMPTZ", Kind::timestamptz},
                                                                  {"JSON", Kind::json},
                                                                  {"UUID", Kind::uuid}};
    for (const auto& [known, kind] : kinds)
        if (known == name) return kind;
    return std::nullopt;
}

class Parser {
  public:
    Parser(std::string_view text, const std::string& file, std::vector<Token> tokens)
        : text_(text), file_(file), tokens_(std::move(tokens)) {}

    Result<TableDefinition> statement() {
        PN_CHECK(expect("CREATE"));
        if (word("OR")) PN_CHECK(expect("REPLACE"));
        PN_CHECK(expect("TABLE"));
        if (word("IF")) {
            PN_CHECK(expect("NOT"));
            PN_CHECK(expect("EXISTS"));
        }
        PN_TRY(made_.name, table_name());
        PN_CHECK(mark('('));
        PN_TRY(made_.schema.fields, fields(')', 0));
        PN_CHECK(rest());
        if (at("PRIMARY") || at("AS")) return fail(unexpected("nothing more"));
        is(';');
        if (now().kind != Token::Kind::end) return fail(unexpected("the end of the statement"));
        return std::move(made_);
    }

  private:
    const Token& now() const { return tokens_[at_]; }
    bool at(std::string_view wanted) const { return now().kind == Token::Kind::word && upper(now().text) == wanted; }
    bool word(std::string_view wanted) {
        if (!at(wanted)) return false;
        ++at_;
        return true;
    }
    bool is(char wanted) {
        if (now().kind != Token::Kind::mark || now().text[0] != wanted) return false;
        ++at_;
        return true;
    }

    Error error(std::string code, std::string message, std::string hint = "") const {
        return {.kind = ErrorKind::configuration,
                .code = std::move(code),
                .message = std::move(message),
                .where = place_in(text_, now().begin, file_),
                .hint = std::move(hint)};
    }
    Error unexpected(std::string_view wanted) const {
        auto found = text_.substr(now().begin, std::min<size_t>(now().end - now().begin, 40));
        return error("ddl_syntax", fmt::format("expected {}, found {}", wanted,
                                               found.empty() ? "the end" : fmt::format("'{}'", found)));
    }
    Status expect(std::string_view wanted) {
        if (!word(wanted)) return fail(unexpected(wanted));
        return {};
    }
    Status mark(char wanted) {
        if (!is(wanted)) return fail(unexpected(fmt::format("'{}'", wanted)));
        return {};
    }
    Result<std::string> name() {
        if (now().kind != Token::Kind::word && now().kind != Token::Kind::name) return fail(unexpected("a name"));
        return tokens_[at_++].text;
    }
    Result<std::string> table_name() {
        PN_TRY(auto out, name());
        while (is('.')) {
            PN_TRY(auto next, name());
            out += "." + next;
        }
        return out;
    }

    Result<std::vector<data::Field>> fields(char close, int depth) {
        std::vector<data::Field> out;
        do {
            if (at("PRIMARY") || at("CONSTRAINT") || at("FOREIGN"))
                return fail(
                    error("ddl_constraint", "constraints are not read here", "leave it out; `key` names the columns"));
            PN_TRY(auto field, this->field(depth));
            for (const auto& other : out)
                if (upper(other.name) == upper(field.name))
                    return fail(error("ddl_column_twice", fmt::format("column {} is there twice", field.name)));
            out.push_back(std::move(field));
        } while (is(','));
        PN_CHECK(mark(close));
        return out;
    }

    Result<data::Field> field(int depth) {
        data::Field out;
        PN_TRY(out.name, name());
        size_t begin = now().begin;
        PN_TRY(out.type, type(depth));
        out.source_type = std::string(text_.substr(begin, tokens_[at_ - 1].end - begin));
        if (word("NOT")) {
            PN_CHECK(expect("NULL"));
            out.nullable = false;
        }
        if (word("OPTIONS")) {
            PN_TRY(out.description, options());
        }
        return out;
    }

    Result<data::Type> type(int depth) {
        if (depth > deepest) return fail(error("ddl_depth", "types are nested too deep"));
        if (now().kind != Token::Kind::word) return fail(unexpected("a type"));
        std::string name = upper(now().text);
        if (name == "ARRAY" || name == "STRUCT") return nested(name, depth);
        if (name == "NUMERIC" || name == "DECIMAL" || name == "BIGNUMERIC" || name == "BIGDECIMAL")
            return decimal(name);
        auto kind = kind_of(name);
        if (!kind)
            return fail(error(
                "ddl_type", fmt::format("'{}' is no type that a column can have here", now().text),
                "STRING, BYTES, INT64, FLOAT64, NUMERIC(p, s), BOOL, DATE, TIME, DATETIME, TIMESTAMP, JSON, UUID, "
                "ARRAY<…> and STRUCT<…>"));
        ++at_;
        if (now().kind == Token::Kind::mark && now().text == "(")
            return fail(error("ddl_length", "a length is not checked here", "leave it out"));
        return data::scalar(*kind);
    }

    Result<data::Type> nested(const std::string& name, int depth) {
        ++at_;
        PN_CHECK(mark('<'));
        if (name == "STRUCT") {
            PN_TRY(auto children, fields('>', depth + 1));
            return data::structure_of(std::move(children));
        }
        if (at("ARRAY"))
            return fail(error("ddl_array_of_arrays", "an array cannot hold arrays", "put a STRUCT in between"));
        PN_TRY(auto element, type(depth + 1));
        PN_CHECK(mark('>'));
        return data::list_of(std::move(element));
    }

    Result<data::Type> decimal(const std::string& name) {
        bool big = name.starts_with("BIG");
        ++at_;
        if (!is('(')) {
            if (big)
                return fail(error("ddl_decimal", fmt::format("{} alone has 76 digits", name),
                                  "write its digits: BIGNUMERIC(38, 18)"));
            return data::decimal(38, 9);
        }
        PN_TRY(int precision, number());
        int scale = 0;
        if (is(',')) {
            PN_TRY(scale, number());
        }
        PN_CHECK(mark(')'));
        if (precision < 1 || precision > 38 || scale > precision)
            return fail(
                error("ddl_decimal", fmt::format("{}({}, {}) is not from 1 to 38 digits", name, precision, scale)));
        return data::decimal(precision, scale);
    }

    Result<int> number() {
        int out = 0;
        const auto& text = now().text;
        auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
        if (now().kind != Token::Kind::number || failed != std::errc() || end != text.data() + text.size())
            return fail(unexpected("a number"));
        ++at_;
        return out;
    }

    /// What follows the columns, in any order.
    Status rest() {
        while (now().kind == Token::Kind::word) {
            if (word("PARTITION")) {
                PN_CHECK(expect("BY"));
                PN_CHECK(partition());
            } else if (word("CLUSTER")) {
                PN_CHECK(expect("BY"));
                do {
                    PN_TRY(auto column, name());
                    made_.cluster_by.push_back(std::move(column));
                } while (is(','));
            } else if (word("OPTIONS")) {
                PN_TRY(made_.description, options());
            } else {
                return fail(unexpected("PARTITION BY, CLUSTER BY or OPTIONS"));
            }
        }
        return {};
    }

    Status partition() {
        size_t begin = now().begin;
        int open = 0;
        auto goes_on = [&] {
            if (now().kind == Token::Kind::end) return false;
            if (open > 0) return true;
            return !at("CLUSTER") && !at("OPTIONS") && !(now().kind == Token::Kind::mark && now().text == ";");
        };
        for (; goes_on(); ++at_) {
            if (now().kind != Token::Kind::mark) continue;
            if (now().text == "(") ++open;
            if (now().text == ")") --open;
        }
        if (now().begin == begin) return fail(unexpected("an expression"));
        made_.partition_by = std::string(text_.substr(begin, tokens_[at_ - 1].end - begin));
        return {};
    }

    /// The description among (name = value, …); the others are the target's business and are named in an error.
    Result<std::string> options() {
        std::string description;
        PN_CHECK(mark('('));
        do {
            PN_TRY(auto option, name());
            if (upper(option) != "DESCRIPTION")
                return fail(error("ddl_option", fmt::format("option {} is not read here", option),
                                  "leave it out, and set it at the table once it is there"));
            PN_CHECK(mark('='));
            if (now().kind != Token::Kind::string) return fail(unexpected("a string"));
            description = tokens_[at_++].text;
        } while (is(','));
        PN_CHECK(mark(')'));
        return description;
    }

    std::string_view text_;
    const std::string& file_;
    std::vector<Token> tokens_;
    size_t at_ = 0;
    TableDefinition made_;
};

}  // namespace

Result<TableDefinition> parse_ddl(std::string_view text, const std::string& file) {
    PN_TRY(auto tokens, tokens_of(text, file));
    return Parser(text, file, std::move(tokens)).statement();
}

}  // namespace penstock::events
