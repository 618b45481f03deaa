// Whether the server sends all that the target needs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "connect/postgres/capture/change_source.h"

namespace penstock::postgres {

Status ChangeSource::check_publication() {
    if (changes().plugin != ChangePlugin::pgoutput) return {};
    PN_TRY(auto found, find_publication(*catalog_, changes().publication.value));
    std::vector<PublishedTable> missing;
    for (size_t i = 0; i < plan_.tables.size(); ++i) {
        if (captured_[i].state == State::aside) continue;
        const auto& read = plan_.tables[i].read;
        TableName wanted{read.schema, read.relation};
        auto is_it = [&](const PublishedTable& published) { return published.table == wanted; };
        auto published = found ? std::ranges::find_if(found->tables, is_it) : std::vector<PublishedTable>::iterator();
        if (found && published != found->tables.end()) {
            auto whole = check_published(*found, *published, read);
            if (!whole) PN_CHECK(same_columns(read));
            PN_CHECK(whole);
            continue;
        }
        if (captured_[i].state == State::follows) PN_CHECK(taken_out(i));
        missing.push_back({.table = wanted});
    }
    if (missing.empty() || failure_) return {};
    auto published = publish(missing, found.has_value());
    // That a table was out of the publication is remembered first.
    if (published) return note_publication();
    if (!kept_ || held_ == 0) return published;
    failure_ = std::move(published.error());
    return {};
}

Status ChangeSource::note_publication() {
    PN_TRY(auto published, published_as(*catalog_, changes().publication.value, plan_.tables));
    for (size_t i = 0; i < published.size(); ++i) shapes_[i].published = std::move(published[i]);
    return {};
}

/// Changes made while a table was not published are not streamed, whatever is published later.
Status ChangeSource::taken_out(size_t table) {
    const auto& name = changes().publication.value;
    Trouble why{
        "not_published",
        fmt::format("publication {} no longer publishes {}, and what changed since it was taken out is not known", name,
                    name_of(table))};
    if (auto again = read_again(table, why); again && changes().create) {
        pending_.push_back(table);
        return {};
    } else if (!kept_) {
        return again;
    }
    // Remembered first: when the table is back in the publication, nothing else tells that it was out.
    captured_[table].state = State::again;
    captured_[table].why = why;
    failure_ = {
        .kind = ErrorKind::refused,
        .code = why.code,
        .message = why.message,
        .where = changes().publication.place.text(),
        .hint = fmt::format("put it back, then `penstock run {} --resnapshot {}`", options_.pipeline, name_of(table))};
    return {};
}

Status ChangeSource::publish(const std::vector<PublishedTable>& missing, bool exists) {
    const auto& name = changes().publication.value;
    if (changes().create) {
        if (!exists) return create_publication(*catalog_, {.name = name, .tables = missing});
        return add_to_publication(*catalog_, name, missing);
    }
    std::vector<std::string> names;
    for (const auto& table : missing) names.push_back(table.table.quoted());
    return fail({.kind = ErrorKind::refused,
                 .code = exists ? "not_published" : "no_publication",
                 .message = exists ? fmt::format("publication {} does not publish {}", name, fmt::join(names, ", "))
                                   : fmt::format("there is no publication {}", name),
                 .where = changes().publication.place.text(),
                 .hint = fmt::format("{} {} {}TABLE {}; or set create: true, with a role that owns the tables",
                                     exists ? "ALTER PUBLICATION" : "CREATE PUBLICATION", quote_identifier(name),
                                     exists ? "ADD " : "FOR ", fmt::join(names, ", "))});
}

/// A column that went since the tables were looked at is published no more either.
Status ChangeSource::same_columns(const TableRead& read) const {
    PN_TRY(auto found, catalog_->query("SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = $1::oid AND "
                                       "attnum > 0 AND NOT attisdropped",
                                       {std::to_string(read.oid)}));
    std::set<std::string> names;
    for (int row = 0; row < found.count(); ++row) names.insert(found.text(row, 0));
    auto gone = [&](const ReadColumn& column) { return !names.contains(column.field.name); };
    if (std::ranges::none_of(read.columns, gone)) return {};
    return fail({.kind = ErrorKind::unavailable,
                 .code = flow::look_again,
                 .message = fmt::format("table {} was altered while the run began", read.info.name),
                 .where = "table " + read.info.name});
}

/// A mirror needs all of it.
Status ChangeSource::check_published(const Publication& publication, const PublishedTable& published,
                                     const TableRead& read) const {
    std::string why;
    if (!publication.inserts || !publication.updates || !publication.deletes || !publication.truncates)
        why = "leaves out some of insert, update, delete and truncate";
    else if (!published.row_filter.empty()) why = fmt::format("has a row filter on {}", read.info.name);
    for (const auto& column : read.columns) {
        bool left_out = !published.columns.empty() &&
                        std::ranges::find(published.columns, column.field.name) == published.columns.end();
        if (left_out) why = fmt::format("leaves out column {} of {}", column.field.name, read.info.name);
    }
    if (why.empty()) return {};
    return fail(
        {.kind = ErrorKind::refused,
         .code = "published_in_part",
         .message = fmt::format("publication {} {}: the target would not be the table's mirror", publication.name, why),
         .where = changes().publication.place.text(),
         .hint = "publish the whole table with all operations, in a publication of the pipeline's own"});
}

}  // namespace penstock::postgres
