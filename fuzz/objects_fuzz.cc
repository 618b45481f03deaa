// Feeds arbitrary bytes to the readers of files: a byte that says how (lines, elements of JSON or CSV; how many bytes come at once; .gz,
// .zst or plain; how long a record may be), then the object. What comes in small pieces must read as what comes at once. Lines are
// compared with the text cut at line feeds, elements with nlohmann's, records of CSV with themselves written and read again.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "connect/parquet/objects/csv_records.h"
#include "connect/parquet/objects/records.h"

namespace {

using namespace penstock;
using namespace penstock::parquet;
using Json = nlohmann::json;

[[noreturn]] void wrong(const char* what, std::string_view text) {
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(std::min<size_t>(text.size(), 500)), text.data());
    std::abort();
}

struct PieceReader : io::ObjectReader {
    PieceReader(std::string_view of, size_t most) : rest(of), piece(most) {}
    Result<std::string> read(uint64_t size) override {
        auto part = rest.substr(0, std::min<uint64_t>(size, piece));
        rest.remove_prefix(part.size());
        return std::string(part);
    }
    std::string_view rest;
    size_t piece;
};

/// One object, whatever its name.
struct OneObject : io::ObjectStore {
    OneObject(std::string_view of, size_t most) : content(of), piece(most) {}
    Result<std::unique_ptr<io::ObjectWriter>> write(const std::string& name) override {
        return fail(io::no_such_object(name));
    }
    Result<std::unique_ptr<io::ObjectWriter>> write_new(const std::string& name) override { return write(name); }
    Result<std::unique_ptr<io::ObjectReader>> read(const std::string&) override {
        return std::make_unique<PieceReader>(content, piece);
    }
    Result<std::optional<io::ObjectInfo>> info(const std::string&) override { return std::optional<io::ObjectInfo>(); }
    Result<std::vector<io::ObjectInfo>> list(const std::string&) override { return std::vector<io::ObjectInfo>(); }
    Status remove(const std::string&) override { return {}; }
    std::string url(const std::string& name) const override { return "memory:" + name; }
    bool names_exclusive() const override { return true; }
    std::string_view content;
    size_t piece;
};

struct Read {
    std::vector<std::string> records;
    std::vector<std::vector<std::string>> fields;  // of CSV, marked where they were quoted
    bool damaged = false;
    bool faulty = false;
    /// Where the object is damaged, more or less of it may come before that is seen.
    bool same(const Read& other) const {
        if (damaged || other.damaged) return damaged == other.damaged;
        return records == other.records && fields == other.fields && faulty == other.faulty;
    }
};

constexpr size_t everything = size_t{1} << 20;

Read read_records(std::string_view object, const std::string& name, size_t piece, bool lines, size_t most) {
    OneObject store(object, piece);
    auto content = Content::open(store, name);
    if (!content) std::abort();
    auto records = lines ? line_records(std::move(*content), most) : element_records(std::move(*content), most);
    Read out;
    Record record;
    for (int64_t last = 0;; last = record.number) {
        auto more = records->next(record);
        out.damaged = !more;
        if (!more || !*more) return out;
        if (record.number <= last) wrong("a number comes again", object);
        if (record.text.size() > record.bytes || (record.cut && record.text.size() > most + 1))
            wrong("more than there is, or than may be", object);
        // A line that ends where the cut would be may be whole in one reading, and cut in the other.
        bool long_line = record.cut || record.bytes > most;
        out.records.push_back(long_line ? "long" : std::string(record.text));
    }
}

Read read_csv(std::string_view object, const std::string& name, size_t piece, size_t most) {
    OneObject store(object, piece);
    auto content = Content::open(store, name);
    if (!content) std::abort();
    CsvReader reader(std::move(*content), ',', most);
    Read out;
    CsvRecord record;
    for (;;) {
        auto more = reader.next(record);
        out.damaged = !more;
        if (!more || !*more) return out;
        if (record.raw.size() > most + 1 || record.fields.empty()) wrong("more than may be, or nothing", object);
        out.records.push_back(std::to_string(record.line) + ":" + std::string(record.raw));
        out.faulty = out.faulty || record.fault != nullptr || record.too_large;
        auto& fields = out.fields.emplace_back();
        for (const auto& field : record.fields) fields.push_back((field.quoted ? "q" : "u") + std::string(field.text));
    }
}

void compare_lines(std::string_view object, const Read& read) {
    std::vector<std::string> expected;
    if (object.starts_with("\xEF\xBB\xBF")) object.remove_prefix(3);
    for (size_t at = 0; at < object.size();) {
        auto end = std::min(object.find('\n', at), object.size());
        auto line = object.substr(at, end - at);
        at = end + 1;
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.find_first_not_of(" \t\r") != line.npos) expected.emplace_back(line);
    }
    if (read.damaged || read.records != expected) wrong("other lines", object);
}

void compare_elements(std::string_view object, const Read& read) {
    if (object.find('\0') != object.npos || object.starts_with("\xEF")) return;
    auto json = Json::parse(object.begin(), object.end(), nullptr, false);
    if (json.is_discarded()) return;
    if (read.damaged) wrong("JSON that is said to be damaged", object);
    if (!json.is_array()) json = Json::array({json});
    if (json.size() != read.records.size()) wrong("another number of elements", object);
    for (size_t i = 0; i < json.size(); ++i)
        if (Json::parse(read.records[i], nullptr, false) != json[i]) wrong("another element", object);
}

void compare_again(const Read& read, std::string_view object) {
    std::string written;
    for (const auto& record : read.fields) {
        for (size_t i = 0; i < record.size(); ++i) {
            written += i == 0 ? "\"" : ",\"";
            for (char c : std::string_view(record[i]).substr(1))
                written += c == '"' ? std::string("\"\"") : std::string(1, c);
            written += '"';
        }
        written += "\r\n";
    }
    auto again = read_csv(written, "a.csv", everything, everything);
    if (again.damaged || again.faulty || again.fields.size() != read.fields.size()) wrong("not read again", object);
    for (size_t i = 0; i < read.fields.size(); ++i)
        for (size_t k = 0; k < read.fields[i].size(); ++k)
            if (again.fields[i].size() != read.fields[i].size() ||
                again.fields[i][k].substr(1) != read.fields[i][k].substr(1))
                wrong("another field when read again", object);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    uint8_t how = data[0];
    std::string_view object(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::string name = (how & 12) == 4 ? "a.gz" : (how & 12) == 8 ? "a.zst" : "a";
    bool plain = name == "a";
    size_t piece = 1 + (how >> 4 & 7);
    size_t most = (how & 128) != 0 ? 16 : everything;
    if ((how & 3) == 2) {
        auto read = read_csv(object, name, everything, most);
        if (!read.same(read_csv(object, name, piece, most))) wrong("CSV depends on its pieces", object);
        if (!read.damaged && !read.faulty) compare_again(read, object);
        return 0;
    }
    bool lines = (how & 1) != 0;
    auto read = read_records(object, name, everything, lines, most);
    if (!read.same(read_records(object, name, piece, lines, most))) wrong("records depend on their pieces", object);
    if (!plain || most != everything) return 0;
    if (lines) compare_lines(object, read);
    else compare_elements(object, read);
    return 0;
}
