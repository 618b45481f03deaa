#include "connect/postgres/capture/output_plugin.h"

#include <fmt/format.h>

#include <utility>

#include "connect/postgres/capture/pgoutput_intake.h"
#include "connect/postgres/capture/wal2json_intake.h"
#include "connect/postgres/capture/wal2json_stream.h"

namespace penstock::postgres {
namespace {

Error no_origin(int version) {
    return {.kind = ErrorKind::configuration,
            .code = "origin_not_known",
            .message = fmt::format("the server is PostgreSQL {}: it cannot leave out changes by their origin",
                                   version / 10000),
            .hint = "origin: none needs PostgreSQL 16"};
}

class Pgoutput : public OutputPlugin {
  public:
    explicit Pgoutput(const ChangesOptions& options) : options_(options) {}

    Status check(const ChangePlan&) override { return {}; }
    Status check_server(Session&, const ChangePlan&) override { return {}; }

    Result<Options> options(const ChangePlan& plan, int server_version) override {
        if (server_version >= 160000) streaming_ = Streaming::parallel;
        else if (server_version >= 140000) streaming_ = Streaming::on;
        bool origins = options_.origin == OriginChoice::none;
        if (origins && streaming_ != Streaming::parallel) return fail(no_origin(server_version));
        Options options = {{"proto_version", std::to_string(protocol())},
                           {"publication_names", quote_identifier(options_.publication.value)}};
        if (streaming_ != Streaming::off)
            options.emplace_back("streaming", streaming_ == Streaming::parallel ? "parallel" : "on");
        if (origins) options.emplace_back("origin", "none");
        if (plan.binary && streaming_ != Streaming::off) options.emplace_back("binary", "true");
        return options;
    }

    Result<std::unique_ptr<ChangeIntake>> intake(Session&, ChangeLog& log, std::vector<IntakeTable> tables,
                                                 ColumnsNow columns_now) override {
        return std::make_unique<PgoutputIntake>(log, std::move(tables),
                                                PgoutputIntakeOptions{.protocol_version = protocol(),
                                                                      .streaming = streaming_,
                                                                      .columns_now = std::move(columns_now),
                                                                      .met_other = met_other});
    }

    Status heed(const Error&, const ChangePlan&) override { return {}; }
    Status check_received(Session&, const ChangePlan&) override { return {}; }

  private:
    int protocol() const {
        switch (streaming_) {
            case Streaming::off: return 1;
            case Streaming::on: return 2;
            case Streaming::parallel: return 4;
        }
        std::unreachable();
    }

    const ChangesOptions& options_;
    Streaming streaming_ = Streaming::off;
};

class Wal2json : public OutputPlugin {
  public:
    explicit Wal2json(const ChangesOptions& options) : options_(options) {}

    Status check(const ChangePlan& plan) override { return check_wal2json_tables(plan); }

    Status check_server(Session& session, const ChangePlan& plan) override {
        PN_TRY(special_numbers_, wal2json_tells_numbers(session, plan, options_));
        return {};
    }

    Result<Options> options(const ChangePlan& plan, int) override {
        return wal2json_options(plan, options_, special_numbers_);
    }

    Result<std::unique_ptr<ChangeIntake>> intake(Session& session, ChangeLog& log, std::vector<IntakeTable> tables,
                                                 ColumnsNow columns_now) override {
        PN_TRY(auto catalogs, wal2json_catalog(session, tables));
        std::vector<Wal2jsonTable> about;
        for (size_t i = 0; i < tables.size(); ++i)
            about.push_back({.table = std::move(tables[i]),
                             .catalog = std::move(catalogs[i]),
                             .special_numbers = special_numbers_,
                             .columns_now = columns_now});
        bool chunks = options_.format_version == FormatVersion::one;
        return std::make_unique<Wal2jsonIntake>(log, std::move(about),
                                                chunks ? Wal2jsonFormat::chunks : Wal2jsonFormat::changes);
    }

    Status heed(const Error& remark, const ChangePlan& plan) override { return check_wal2json_remark(remark, plan); }
    Status check_received(Session& session, const ChangePlan& plan) override {
        return check_still_named(session, plan);
    }

  private:
    const ChangesOptions& options_;
    bool special_numbers_ = false;
};

}  // namespace

std::unique_ptr<OutputPlugin> make_output_plugin(const ChangesOptions& options) {
    if (options.plugin == ChangePlugin::wal2json) return std::make_unique<Wal2json>(options);
    return std::make_unique<Pgoutput>(options);
}

}  // namespace penstock::postgres
