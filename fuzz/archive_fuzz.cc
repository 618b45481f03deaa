// Feeds arbitrary bytes to the reader of archives: a byte that says how, then an object and its index with 0x1E between them. The
// index is lines of JSON that are packed here, or (bit 1) packed bytes as they are; with bits 2 and 4 the object is called .gz
// or .zst. What reads to its end without an error must be the object, byte for byte.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "io/object_store.h"
#include "transform/archive/archive.h"
#include "transform/archive/index.h"
#include "transform/archive/packing.h"

namespace {

using namespace penstock;
using namespace penstock::archive;

struct TextReader : io::ObjectReader {
    explicit TextReader(std::string_view of) : rest(of) {}
    Result<std::string> read(uint64_t size) override {
        auto part = rest.substr(0, size);
        rest.remove_prefix(part.size());
        return std::string(part);
    }
    std::string_view rest;
};

struct MemoryStore : io::ObjectStore {
    Result<std::unique_ptr<io::ObjectWriter>> write(const std::string& name) override {
        return fail(io::no_such_object(name));
    }
    Result<std::unique_ptr<io::ObjectWriter>> write_new(const std::string& name) override { return write(name); }
    Result<std::unique_ptr<io::ObjectReader>> read(const std::string& name) override {
        auto found = objects.find(name);
        if (found == objects.end()) return fail(io::no_such_object(name));
        return std::make_unique<TextReader>(found->second);
    }
    Result<std::optional<io::ObjectInfo>> info(const std::string& name) override {
        auto found = objects.find(name);
        if (found == objects.end()) return std::optional<io::ObjectInfo>();
        return std::optional(io::ObjectInfo{.name = name, .size = found->second.size()});
    }
    Result<std::vector<io::ObjectInfo>> list(const std::string& folder) override {
        std::vector<io::ObjectInfo> found;
        for (const auto& [name, text] : objects)
            if (name.starts_with(folder)) found.push_back({.name = name, .size = text.size()});
        return found;
    }
    Status remove(const std::string&) override { return {}; }
    std::string url(const std::string& name) const override { return "memory:" + name; }
    bool names_exclusive() const override { return true; }

    std::map<std::string, std::string> objects;
};

std::string packed(std::string_view text) {
    std::string out;
    auto take = [&](std::string_view bytes) -> Status {
        out += bytes;
        return {};
    };
    auto packer = Packer::make(ArchiveCompression::zstd, take);
    if (!packer || !packer->add(text) || !packer->end()) std::abort();
    return out;
}

constexpr auto from = TimePoint(std::chrono::seconds(1795240800));  // 2026-11-21 06:00
constexpr auto to = from + std::chrono::hours(1);

void read_object(ArchiveReader& reader, const ArchivedObject& object, const std::string* plain) {
    auto verified = reader.verify(object);
    auto messages = reader.open(object);
    if (!messages) return;
    std::string whole;
    int64_t count = 0;
    for (;;) {
        auto one = (*messages)->next();
        if (!one) return;
        if (!*one) break;
        whole.append((*one)->message.payload).append("\n");
        ++count;
    }
    if (count != object.messages) std::fprintf(stderr, "%ld messages\n", static_cast<long>(count)), std::abort();
    if (plain != nullptr && whole != *plain) std::fprintf(stderr, "other bytes\n"), std::abort();
    if (verified && whole.size() != object.bytes) std::fprintf(stderr, "another size\n"), std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    uint8_t how = data[0];
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    auto object = rest.substr(0, rest.find('\x1e'));
    auto index = rest.substr(std::min(object.size() + 1, rest.size()));
    std::string name = "output/order/2026/11/21/06/order_20261121060000.json";
    if ((how & 2) != 0) name += ".gz";
    else if ((how & 4) != 0) name += ".zst";

    MemoryStore store;
    store.objects[name] = object;
    auto header = index.substr(0, index.find('\n') == index.npos ? index.size() : index.find('\n') + 1);
    store.objects[name + std::string(index_suffix)] =
        (how & 1) != 0 ? std::string(index) : packed(header) + packed(index.substr(header.size()));
    (void)read_entry(index);
    (void)read_header(index);
    ArchiveReader reader(store, "p", {});
    auto found = reader.objects(from, to, {"order"});
    if (!found) return 0;
    for (const auto& one : *found) read_object(reader, one, (how & 6) == 0 ? &store.objects[name] : nullptr);
    return 0;
}
