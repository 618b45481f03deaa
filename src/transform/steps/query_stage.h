#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/batch_session.h"
#include "engine/database.h"
#include "transform/steps/stage.h"
#include "transform/steps/step_sql.h"

namespace penstock::steps {

/// Steps that follow one another and can be said in SQL: one query does them all. Beside it stands what is needed to say which
/// step and column of it a row fails at.
class QueryStage : public Stage {
  public:
    using Steps = std::span<const config::Located<config::Step>* const>;
    static Result<std::unique_ptr<Stage>> plan(Steps steps, const flow::TableInfo& info, engine::Database& database);

    const flow::TableInfo& before() const override { return before_; }
    const flow::TableInfo& after() const override { return after_; }
    const std::vector<std::string>& concealed() const override { return concealed_; }
    void conceal(const std::vector<std::string>& columns) override;
    std::unique_ptr<flow::Scan> wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) override;

    /// Over engine::BatchSession::batch_rows.
    const std::string& query() const { return queries_.back(); }
    /// The row as a JSON object and its key as another, "" where it has none, as one row of two texts.
    std::string payload_query() const;

    struct Fault {
        std::string column;
        std::string reason;
    };
    /// Which step a row fails at, and why: `error` is what all steps together said of it.
    Fault fault(engine::BatchSession& session, const data::Block& block, size_t row, const Error& error) const;

  private:
    QueryStage(const flow::TableInfo& info, engine::Database database)
        : before_(info), after_(info), database_(std::move(database)) {}

    Status add(const config::Located<config::Step>& step, engine::BatchSession& session,
               engine::Connection& connection);
    void hide(const std::vector<std::string>& columns, size_t before_step);
    std::string nested(const std::string& query) const;

    flow::TableInfo before_;
    flow::TableInfo after_;
    engine::Database database_;
    std::vector<StepSql> steps_;
    std::vector<std::string> queries_;  ///< the first step, the first two …
    std::vector<std::string> concealed_;
};

}  // namespace penstock::steps
