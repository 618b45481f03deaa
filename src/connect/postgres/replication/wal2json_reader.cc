#include "connect/postgres/replication/wal2json_reader.h"

#include <fmt/format.h>

#include <charconv>

#include "connect/postgres/pg_type.h"
#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/text/text_parser.h"
#include "connect/postgres/wire.h"

namespace penstock::postgres {
namespace {

char action_of_kind(std::string_view kind) {
    if (kind == "insert") return 'I';
    if (kind == "update") return 'U';
    if (kind == "delete") return 'D';
    if (kind == "truncate") return 'T';
    if (kind == "message") return 'M';
    return 0;
}

template <class T>
std::optional<T> number(std::string_view text) {
    T value;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<int64_t> moment(std::string_view text) {
    std::string wire;
    Malformed malformed;
    if (!parse_timestamptz(text, wire, malformed)) return std::nullopt;
    return load_big_endian<int64_t>(wire.data());
}

/// How long a type's name is that stands there bare: quoted identifiers with dots between them, and a modifier.
size_t bare_type_length(std::string_view text) {
    bool quoted = false;
    int nested = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '"') quoted = !quoted;
        else if (quoted) continue;
        else if (c == '(') ++nested;
        else if (c == ')') --nested;
        else if (nested <= 0 && (c == ',' || c == '}' || c == ']')) return i;
    }
    return text.size();
}

}  // namespace

bool Wal2jsonReader::Lists::agree(const Columns& columns, bool with_values) const {
    auto fits = [&](const std::optional<size_t>& list) { return !list || *list == names; };
    return columns.list.size() == names && fits(types) && fits(oids) && fits(values) &&
           values.has_value() == with_values;
}

template <class T>
T Wal2jsonReader::read_number(std::string_view what) {
    auto value = number<T>(from.value());
    if (!value) wrong(fmt::format("the {} cannot be read", what));
    return value.value_or(T{});
}

void Wal2jsonReader::read_change(Wal2jsonChange& change) {
    for (auto* columns : {&columns_, &identity_, &primary_key_}) columns->clear();
    from.object([&](std::string_view key) {
        if (key == "action") {
            auto action = from.string();
            if (action.size() != 1 || !std::string_view("BCIUDTM").contains(action[0]))
                return wrong("its action is unknown");
            change.action = action[0];
        } else if (key == "columns") {
            read_columns(columns_, true);
        } else if (key == "identity") {
            read_columns(identity_, true);
        } else if (key == "pk") {
            read_columns(primary_key_, false);
        } else if (!read_common(key, change)) {
            from.value();
        }
    });
    complete(change);
}

void Wal2jsonReader::read_change_of_transaction(Wal2jsonChange& change) {
    for (auto* columns : {&columns_, &identity_, &primary_key_}) columns->clear();
    Lists lists;
    from.object([&](std::string_view key) {
        if (key == "kind") {
            change.action = action_of_kind(from.string());
            if (change.action == 0) wrong("its kind is unknown");
        } else if (key == "oldkeys") {
            read_lists("key", identity_, true);
        } else if (key == "pk") {
            read_lists("pk", primary_key_, false);
        } else if (key.starts_with("column") && read_list(key.substr(6), columns_, lists)) {
            return;
        } else if (!read_common(key, change)) {
            from.value();
        }
    });
    if (columns_.given && !lists.agree(columns_, true)) wrong("the lists of a row's columns differ in length");
    complete(change);
}

/// The members that both formats have.
bool Wal2jsonReader::read_common(std::string_view key, Wal2jsonChange& change) {
    bool is_null = from.peek() == 'n';
    if (key == "schema") change.schema = read_text();
    else if (key == "table") change.table = read_text();
    else if (key == "prefix") change.prefix = read_text();
    else if (key == "content") change.content = read_text();
    else if (key == "transactional") change.transactional = read_truth();
    else if (is_null) return false;
    else if (key == "xid") change.xid = read_number<uint32_t>("xid");
    else if (key == "lsn" || key == "nextlsn") {
        auto lsn = Lsn::parse(from.string());
        if (!lsn) return wrong("an LSN cannot be read"), true;
        (key == "lsn" ? change.lsn : change.next_lsn) = lsn->value;
    } else if (key == "timestamp") {
        change.committed_at = moment(from.string());
        if (!change.committed_at) wrong("the timestamp cannot be read");
    } else {
        return false;
    }
    return true;
}

void Wal2jsonReader::complete(Wal2jsonChange& change) {
    if (!from.ok()) return;
    bool of_table = std::string_view("IUDT").contains(change.action);
    if (change.action == 0) return wrong("it does not say what happened");
    if (of_table && change.table.empty()) return wrong("a change names no table");
    if ((change.action == 'I' || change.action == 'U') && !columns_.given) return wrong("a new row has no columns");
    if (change.action == 'D' && !identity_.given) return wrong("a deleted row has no identity");
    put_back_prefix(columns_);
    put_back_prefix(identity_);
    if (columns_.given) change.columns = columns_.list;
    if (identity_.given) change.identity = identity_.list;
    if (primary_key_.given) change.primary_key = primary_key_.list;
}

void Wal2jsonReader::read_columns(Columns& into, bool with_values) {
    into.clear();
    into.given = true;
    from.array([&] {
        auto& column = into.list.emplace_back();
        bool named = false, valued = false;
        from.object([&](std::string_view key) {
            if (key == "name") named = true, column.name = read_text();
            else if (key == "type") column.type = read_type();
            else if (key == "typeoid") column.type_oid = static_cast<uint32_t>(read_number<int64_t>("typeoid"));
            else if (key == "value") valued = true, read_value(column);
            else from.value();
        });
        if (!named || valued != with_values) wrong("a column lacks its name or value");
    });
}

void Wal2jsonReader::read_lists(std::string_view prefix, Columns& into, bool with_values) {
    into.clear();
    Lists lists;
    from.object([&](std::string_view key) {
        if (!key.starts_with(prefix) || !read_list(key.substr(prefix.size()), into, lists)) from.value();
    });
    if (!lists.agree(into, with_values)) wrong("the lists of a row's columns differ in length");
}

bool Wal2jsonReader::read_list(std::string_view name, Columns& into, Lists& lists) {
    auto each = [&](auto read) {
        size_t count = 0;
        from.array([&] {
            if (count == into.list.size()) into.list.emplace_back();
            read(into.list[count++]);
        });
        return count;
    };
    if (name == "names") {
        into.given = true;
        lists.names = each([&](Wal2jsonColumn& column) { column.name = read_text(); });
    } else if (name == "types") {
        lists.types = each([&](Wal2jsonColumn& column) { column.type = read_type(); });
    } else if (name == "typeoids") {
        lists.oids = each(
            [&](Wal2jsonColumn& column) { column.type_oid = static_cast<uint32_t>(read_number<int64_t>("typeoid")); });
    } else if (name == "values") {
        lists.values = each([&](Wal2jsonColumn& column) { read_value(column); });
    } else {
        return false;
    }
    return true;
}

void Wal2jsonReader::put_back_prefix(Columns& columns) {
    for (auto& column : columns.list) {
        if (column.type_oid != bytea_oid && column.type != "bytea") continue;
        // A domain has it already, and would call itself bytea with include-domain-data-type.
        if (!column.json.starts_with('"') || column.text.starts_with("\\x")) continue;
        auto* to = static_cast<char*>(texts_.allocate(column.text.size() + 2, 1));
        to[0] = '\\';
        to[1] = 'x';
        column.text.copy(to + 2, column.text.size());
        column.text = {to, column.text.size() + 2};
    }
}

void Wal2jsonReader::read_value(Wal2jsonColumn& into) {
    auto json = from.value();
    into.json = json;
    into.kind = 't';
    switch (json.empty() ? '\0' : json.front()) {
        case 'n':
            into.kind = 'n';
            into.text = {};
            break;
        case 't': into.text = "t"; break;
        case 'f': into.text = "f"; break;
        case '"': into.text = text_of(json.substr(1, json.size() - 2)); break;
        case '[':
        case '{': wrong("a value is neither text nor number"); break;
        default: into.text = json;
    }
}

std::string_view Wal2jsonReader::read_type() {
    auto before = from;
    auto type = from.string();
    char next = from.peek();
    if (from.ok() && (next == ',' || next == '}' || next == ']')) return text_of(type);
    from = before;
    if (from.peek() != '"') return wrong("a type has no name"), std::string_view{};
    return from.raw(bare_type_length(from.rest()));
}

bool Wal2jsonReader::read_truth() {
    auto word = from.value();
    if (word != "true" && word != "false") wrong("what is true or false is neither");
    return word == "true";
}

std::string_view Wal2jsonReader::text_of(std::string_view string) {
    if (!string.contains('\\')) return string;
    auto* to = static_cast<char*>(texts_.allocate(string.size(), 1));
    return {to, unescape(string, to)};
}

void Wal2jsonReader::wrong(std::string what) {
    if (!from.ok()) return;
    why_ = std::move(what);
    from.fail();
}

}  // namespace penstock::postgres
