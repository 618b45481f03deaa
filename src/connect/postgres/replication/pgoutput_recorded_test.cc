// Messages that PostgreSQL 15.20 sent (recorded with pg_logical_slot_peek_binary_changes).

#include <vector>

#include "connect/postgres/replication/test_pgoutput.h"

namespace penstock::postgres {
namespace {

std::string from_hex(std::string_view hex) {
    std::string out;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return out;
}

TEST_CASE("messages of a real server: rows as text and in binary") {
    PgoutputDecoder decoder(1);
    auto relation_bytes = from_hex(
        "52000040287075626c696300746f6173746564006400030169640000000017ffffffff006269670000000019ffffffff"
        "006b0000000017ffffffff");
    auto relation = decoded<RelationMessage>(decoder, relation_bytes);
    CHECK(relation.schema == "public");
    CHECK(relation.name == "toasted");
    CHECK(relation.replica_identity == 'd');
    REQUIRE(relation.columns.size() == 3);
    CHECK(relation.columns[0].key);
    CHECK(relation.columns[1].name == "big");
    CHECK(relation.columns[1].type == 25);
    auto moved_bytes = from_hex("55000040284b00037400000001316e6e4e000374000000013975740000000132");
    auto moved = decoded<Update>(decoder, moved_bytes);
    CHECK(moved.old_kind == OldTuple::key);
    CHECK(shown(moved.old_row) == "t=1 n n ");
    CHECK(shown(moved.row) == "t=9 u t=2 ");
    auto full_bytes = from_hex("550000401a4f00027400000001317400000001614e0002740000000131740000000162");
    auto full = decoded<Update>(decoder, full_bytes);
    CHECK(full.old_kind == OldTuple::full);
    CHECK(shown(full.old_row) + shown(full.row) == "t=1 t=a t=1 t=b ");
    auto binary_bytes = from_hex(
        "490000400c4e000e6200000004000000026200000000620000000800000000c000000062000000088000000000000000"
        "62000000010062000000006200000005016e756c6c620000000c00000000000000000000001762000000087fffffffff"
        "ffffff6e6e6e6e62000000088000000000000000");
    auto binary = decoded<Insert>(decoder, binary_bytes);
    CHECK(shown(binary.row) == "b#4 b#0 b#8 b#8 b#1 b#0 b#5 b#12 b#8 n n n n b#8 ");
    auto truncate_bytes = from_hex("5400000003010000400c0000401a0000402f");
    auto truncate = decoded<Truncate>(decoder, truncate_bytes);
    CHECK(truncate.cascade);
    CHECK_FALSE(truncate.restart_identity);
    CHECK(truncate.relations.size() == 3);
    auto type_bytes = from_hex("59000040034d7920536368656d61004d6f6f6400");
    auto type = decoded<TypeMessage>(decoder, type_bytes);
    CHECK(type.schema == "My Schema");
    CHECK(type.name == "Mood");
}

TEST_CASE("messages of a real server: a transaction in stream blocks, and prepared ones") {
    PgoutputDecoder decoder(3, Streaming::on);
    std::vector<std::string> streamed{
        from_hex("53000002e301"),
        from_hex("52000002e30000401a7075626c69630066756c6c5f69640066000201780000000017ffffffff01790000000019ffffff"
                 "ff"),
        from_hex("49000002e30000401a4e00027400000001317400000005726f772031"),
        from_hex("4d000002e3010000000001567858696e2073747265616d000000000178"),
        from_hex("45"),
        from_hex("41000002e3000002e4"),
        from_hex("63000002e300000000000156bb68000000000156c048000303c5ad2e94cd")};
    CHECK(decoded<StreamStart>(decoder, streamed[0]).first);
    auto relation = decoded<RelationMessage>(decoder, streamed[1]);
    CHECK(relation.xid == 0x2e3);
    CHECK(relation.name == "full_id");
    CHECK(shown(decoded<Insert>(decoder, streamed[2]).row) == "t=1 t=row 1 ");
    auto message = decoded<LogicalMessage>(decoder, streamed[3]);
    CHECK((message.xid == 0x2e3 && message.prefix == "in stream" && message.content == "x"));
    decoded<StreamStop>(decoder, streamed[4]);
    auto abort = decoded<StreamAbort>(decoder, streamed[5]);
    CHECK((abort.xid == 0x2e3 && abort.subxid == 0x2e4));
    auto commit = decoded<StreamCommit>(decoder, streamed[6]);
    CHECK((commit.xid == 0x2e3 && commit.commit_lsn == 0x156bb68 && commit.end_lsn == 0x156c048));

    std::vector<std::string> prepared{
        from_hex("62000000000157be80000000000157bf78000303c5ad2eb9e3000002e8676964206f6e6500"),
        from_hex("5000000000000157be80000000000157bf78000303c5ad2eb9e3000002e8676964206f6e6500"),
        from_hex("4b00000000000157bf78000000000157bfb8000303c5ad2ebaab000002e8676964206f6e6500"),
        from_hex("7200000000000157c110000000000157c150000303c5ad2ebb1a000303c5ad2ebb77000002e96769642074776f00"),
        from_hex("7000000000000158bf18000000000158c030000303c5ad2ebdac000002ea67696420746872656500")};
    auto begin = decoded<BeginPrepare>(decoder, prepared[0]);
    CHECK((begin.xid == 0x2e8 && begin.gid == "gid one"));
    auto prepare = decoded<Prepare>(decoder, prepared[1]);
    CHECK((prepare.lsn == begin.lsn && prepare.end_lsn == begin.end_lsn && prepare.at == begin.at));
    auto committed = decoded<CommitPrepared>(decoder, prepared[2]);
    CHECK((committed.gid == "gid one" && committed.lsn >= prepare.end_lsn && committed.at > prepare.at));
    auto undone = decoded<RollbackPrepared>(decoder, prepared[3]);
    CHECK((undone.gid == "gid two" && undone.rolled_back_at > undone.prepared_at));
    CHECK(decoded<StreamPrepare>(decoder, prepared[4]).gid == "gid three");
}

}  // namespace
}  // namespace penstock::postgres
