#pragma once

#include <cstdint>
#include <cstring>

namespace penstock::postgres {

/// The commit a change belongs to.
struct ChangeCommit {
    uint64_t lsn = 0;   ///< of the commit record: orders transactions
    int64_t time = 0;   ///< as it came: microseconds since 2000-01-01
    uint32_t xid = 0;   ///< of the top-level transaction
    uint32_t none = 0;  ///< no byte is left undefined
};

/// How a change lies in a block: this header, the old tuple, the new tuple; the next follows without a gap.
struct RecordHeader {
    uint32_t size;      ///< header and tuples
    uint32_t previous;  ///< size of the record before it in its block, 0 for the first: blocks are cut from their end
    uint32_t old_size;
    uint32_t schema;
    uint64_t ordinal_flags_op;

    uint64_t ordinal() const { return ordinal_flags_op >> 16; }
    uint8_t flags() const { return static_cast<uint8_t>(ordinal_flags_op >> 8); }
    char op() const { return static_cast<char>(ordinal_flags_op); }
    static uint64_t packed(uint64_t ordinal, uint8_t flags, char op) {
        return ordinal << 16 | uint64_t{flags} << 8 | static_cast<uint8_t>(op);
    }
};
static_assert(sizeof(RecordHeader) == 24 && sizeof(ChangeCommit) == 24);

/// The op of a record that is no change: a ChangeCommit follows its header, and tells whose changes come next.
constexpr char commit_mark = '\0';
constexpr uint32_t commit_mark_size = sizeof(RecordHeader) + sizeof(ChangeCommit);

template <class T>
T read_at(const char* at) {
    T out;
    std::memcpy(&out, at, sizeof out);
    return out;
}

inline void write_commit_mark(char* at, const ChangeCommit& commit) {
    RecordHeader header{.size = commit_mark_size,
                        .previous = 0,
                        .old_size = 0,
                        .schema = 0,
                        .ordinal_flags_op = RecordHeader::packed(0, 0, commit_mark)};
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + sizeof header, &commit, sizeof commit);
}

}  // namespace penstock::postgres
