#include "transform/steps/program.h"

#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "data/arrow.h"
#include "flow/guarded.h"
#include "transform/steps/info_after.h"
#include "transform/steps/program_streams.h"

namespace penstock::steps {
namespace {

Error multiplied(const ProgramProcess& process, int64_t given, int64_t rows) {
    return {.kind = ErrorKind::data,
            .code = "step_multiplies_rows",
            .message = fmt::format("the program {} made {} rows of {}, and each row must be accounted for",
                                   process.name(), rows, given),
            .hint = "let it give at most one row for each that it takes"};
}

/// The program's columns in the words of a query's.
std::vector<engine::TargetColumn> columns_of(const data::Schema& schema) {
    std::vector<engine::TargetColumn> columns;
    for (const auto& field : schema.fields)
        columns.push_back({.name = field.name, .sql_type = engine::sql_type(field.type), .type = field.type});
    return columns;
}

}  // namespace

/// Feeds the program from a thread of its own, so that it may give rows before it took all.
class Program::Reader : public flow::ScanReader {
  public:
    Reader(const data::Schema& before, const data::Schema& after, std::unique_ptr<flow::ScanReader> rows,
           std::unique_ptr<ProgramProcess> process, flow::Progress& progress)
        : before_(before),
          after_(after),
          rows_(std::move(rows)),
          process_(std::move(process)),
          output_(*process_),
          progress_(progress),
          feeder_([this] { feed(); }) {}

    ~Reader() override {
        process_->kill();
        if (feeder_.joinable()) feeder_.join();
    }

    Status fill(data::Block& block) override {
        while (!ended_ && (batch_ == nullptr || at_ == static_cast<size_t>(batch_->num_rows()))) PN_CHECK(next());
        if (ended_) return {};
        size_t rows = std::min(static_cast<size_t>(batch_->num_rows()) - at_, data::block_rows);
        PN_CHECK(data::from_arrow(*batch_, at_, rows, block));
        at_ += rows;
        given_ += static_cast<int64_t>(rows);
        return {};
    }

  private:
    Status next() {
        at_ = 0;
        if (!checked_) PN_CHECK(prefer_feeders_error(check_schema()));
        auto batch = output_.next();
        if (!batch) return prefer_feeders_error(fail(std::move(batch.error())));
        batch_ = std::move(*batch);
        return batch_ == nullptr ? end() : Status();
    }

    Status check_schema() {
        PN_TRY(auto arrow_schema, output_.schema());
        PN_TRY(auto schema, data::from_arrow(*arrow_schema));
        checked_ = std::ranges::equal(schema.fields, after_.fields);
        if (checked_) return {};
        return fail({.kind = ErrorKind::schema,
                     .code = "program_columns",
                     .message = fmt::format("the program {} gives other columns with rows than it gave without",
                                            process_->name()),
                     .hint = "its columns must depend on the columns it is given alone, never on values"});
    }

    Status end() {
        ended_ = true;
        feeder_.join();
        PN_CHECK(process_->finish());
        if (fed_error_) return fail(*fed_error_);
        if (given_ > taken_) return fail(multiplied(*process_, taken_, given_));
        progress_.rows_filtered += taken_ - given_;
        return {};
    }

    /// Where the rows themselves failed, the program's trouble is only what came of it.
    Status prefer_feeders_error(Status status) {
        if (status || !feeder_.joinable()) return status;
        ended_ = true;
        process_->kill();
        feeder_.join();
        return rows_failed_ ? fail(*fed_error_) : status;
    }

    void feed() {
        auto fed = flow::guarded([&] { return feed_all(); });
        if (fed) return;
        fed_error_ = std::move(fed.error());
        if (rows_failed_) process_->kill();
        process_->close_input();
    }

    Status feed_all() {
        data::Block block(before_);
        ProgramInput input(*process_);
        PN_TRY(auto schema, data::to_arrow(before_));
        PN_CHECK(input.open(schema));
        while (true) {
            block.clear();
            process_->waits_for_rows(true);
            auto filled = flow::guarded([&] { return rows_->fill(block); });
            process_->waits_for_rows(false);
            rows_failed_ = !filled;
            PN_CHECK(filled);
            if (block.rows == 0) return input.close();
            PN_TRY(auto batch, data::to_arrow(block, schema));
            taken_ += static_cast<int64_t>(block.rows);
            PN_CHECK(input.write(*batch));
        }
    }

    const data::Schema& before_;
    const data::Schema& after_;
    std::unique_ptr<flow::ScanReader> rows_;
    std::unique_ptr<ProgramProcess> process_;
    ProgramOutput output_;
    flow::Progress& progress_;
    std::shared_ptr<arrow::RecordBatch> batch_;
    size_t at_ = 0;
    int64_t given_ = 0;
    bool checked_ = false;
    bool ended_ = false;
    // The feeder's until it was joined.
    int64_t taken_ = 0;
    std::optional<Error> fed_error_;
    bool rows_failed_ = false;
    std::jthread feeder_;  // last: it uses all of the above
};

class Program::Scan : public flow::Scan {
  public:
    Scan(Program& owner, std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context)
        : owner_(owner), rows_(std::move(rows)), context_(context) {}

    const data::Schema& schema() const override { return owner_.after_.schema; }
    unsigned max_readers() const override { return rows_->max_readers(); }
    Result<std::unique_ptr<flow::ScanReader>> reader() override {
        PN_TRY(auto rows, rows_->reader());
        PN_TRY(auto process, ProgramProcess::start(owner_.options_, context_.stop));
        return std::make_unique<Reader>(owner_.before_.schema, owner_.after_.schema, std::move(rows),
                                        std::move(process), context_.progress);
    }
    Result<flow::Checkpoint> finish() override { return rows_->finish(); }

  private:
    Program& owner_;
    std::unique_ptr<flow::Scan> rows_;
    flow::ScanContext context_;
};

Result<std::unique_ptr<Stage>> Program::plan(const config::Located<config::Step>& step, const flow::TableInfo& info,
                                             const Tools& tools) {
    const auto& program = *step.value.program;
    std::unique_ptr<Program> made(new Program({.command = program.command,
                                               .directory = tools.directory,
                                               .table = info.name,
                                               .timeout = program.timeout,
                                               .place = step.place.text()},
                                              info));
    PN_CHECK(made->find_columns(tools.stop));
    return made;
}

Status Program::find_columns(std::stop_token stop) {
    PN_TRY(auto process, ProgramProcess::start(options_, std::move(stop)));
    PN_TRY(auto schema, data::to_arrow(before_.schema));
    ProgramInput input(*process);
    ProgramOutput output(*process);
    // A schema fits into the pipe; whether it was taken shows in what comes back.
    auto written = input.open(schema);
    if (written) written = input.close();
    else process->close_input();
    PN_TRY(auto given, output.schema());
    PN_TRY(auto batch, output.next());
    if (batch != nullptr && batch->num_rows() != 0) return fail(multiplied(*process, 0, batch->num_rows()));
    while (batch != nullptr) {
        PN_TRY(batch, output.next());
    }
    PN_CHECK(process->finish());
    PN_CHECK(written);
    PN_TRY(auto columns, data::from_arrow(*given));
    StepSql step{.name = "program", .place = options_.place, .guessed = true};
    for (const auto& field : before_.schema.fields) step.same[field.name] = field.name;
    PN_TRY(after_, info_after(before_, step, columns_of(columns)));
    return {};
}

void Program::conceal(const std::vector<std::string>& columns) {
    for (const auto& name : columns) {
        if (before_.schema.find(name) >= 0) concealed_.push_back(name);
        else
            for (const auto& field : before_.schema.fields) concealed_.push_back(field.name);
    }
    std::ranges::sort(concealed_);
    auto repeated = std::ranges::unique(concealed_);
    concealed_.erase(repeated.begin(), repeated.end());
}

std::unique_ptr<flow::Scan> Program::wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) {
    return std::make_unique<Scan>(*this, std::move(rows), context);
}

}  // namespace penstock::steps
