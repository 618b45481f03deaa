#include "state/migrations.h"

#include <array>

namespace penstock::state {
namespace {

constexpr std::array steps = {
    std::string_view(R"(
        CREATE TABLE penstock.runs (
            run_id            VARCHAR(64) PRIMARY KEY,
            pipeline          {name} NOT NULL,
            status            VARCHAR(16) NOT NULL,
            started_at        BIGINT NOT NULL,
            duration_seconds  {double} NOT NULL,
            attempts          BIGINT NOT NULL,
            peak_memory_bytes BIGINT NOT NULL,
            tables            {text} NOT NULL,
            error             {text} NOT NULL,
            pid               BIGINT NOT NULL,
            pid_started       BIGINT NOT NULL,
            host              VARCHAR(255) NOT NULL,
            machine           VARCHAR(255) NOT NULL
        ) {options};
        CREATE INDEX runs_by_pipeline ON penstock.runs (pipeline, started_at);
        CREATE INDEX runs_by_start ON penstock.runs (started_at);
        CREATE TABLE penstock.locks (
            pipeline          {name} PRIMARY KEY,
            run_id            VARCHAR(64) NOT NULL,
            pid               BIGINT NOT NULL,
            pid_started       BIGINT NOT NULL,
            host              VARCHAR(255) NOT NULL,
            machine           VARCHAR(255) NOT NULL,
            acquired_at       BIGINT NOT NULL,
            lease_until       BIGINT NOT NULL
        ) {options};
    )"),
    // Of targets that cannot keep these themselves. An empty text or a zero time is none.
    std::string_view(R"(
        CREATE TABLE penstock.checkpoints (
            pipeline          {name} NOT NULL,
            source_table      {name} NOT NULL,
            target            {name} NOT NULL,
            connection        {name} NOT NULL,
            run_id            VARCHAR(64) NOT NULL,
            batch             BIGINT NOT NULL,
            cursor_from       {text} NOT NULL,
            cursor_to         {text} NOT NULL,
            source_position   {text} NOT NULL,
            read_at           BIGINT NOT NULL,
            rows_read         BIGINT NOT NULL,
            rows_written      BIGINT NOT NULL,
            rows_rejected     BIGINT NOT NULL,
            rows_filtered     BIGINT NOT NULL,
            rows_deleted      BIGINT NOT NULL,
            committed_at      BIGINT NOT NULL,
            PRIMARY KEY (pipeline, source_table, target)
        ) {options};
        CREATE TABLE penstock.rejects (
            id                BIGINT PRIMARY KEY,
            pipeline          {name} NOT NULL,
            connection        {name} NOT NULL,
            run_id            VARCHAR(64) NOT NULL,
            source_table      {name} NOT NULL,
            route             {text} NOT NULL,
            source_position   {text} NOT NULL,
            row_key           {text} NOT NULL,
            column_name       {text} NOT NULL,
            code              VARCHAR(64) NOT NULL,
            reason            {text} NOT NULL,
            payload           {text} NOT NULL,
            received_at       BIGINT NOT NULL,
            replayed_at       BIGINT NOT NULL,
            discarded_at      BIGINT NOT NULL
        ) {options};
    )"),
    // Messages from outside, so that one delivered twice is done once (messages.h). A zero time has not come yet.
    std::string_view(R"(
        CREATE TABLE penstock.messages (
            pipeline          {name} NOT NULL,
            message_id        {name} NOT NULL,
            invocation        VARCHAR(64) NOT NULL,
            redelivered       BIGINT NOT NULL,
            digest            VARCHAR(64) NOT NULL,
            body              {text} NOT NULL,
            status            VARCHAR(16) NOT NULL,
            ended             {text} NOT NULL,
            code              BIGINT NOT NULL,
            answer            {text} NOT NULL,
            attempts          BIGINT NOT NULL,
            received_at       BIGINT NOT NULL,
            ended_at          BIGINT NOT NULL,
            pid               BIGINT NOT NULL,
            pid_started       BIGINT NOT NULL,
            host              VARCHAR(255) NOT NULL,
            machine           VARCHAR(255) NOT NULL,
            lease_until       BIGINT NOT NULL,
            PRIMARY KEY (pipeline, message_id)
        ) {options};
        CREATE INDEX messages_by_invocation ON penstock.messages (invocation);
        CREATE INDEX messages_by_end ON penstock.messages (ended_at);
    )"),
    // What runs have spent, by day (since 1970, UTC), and the bills of jobs whose price is not known yet. Money in 1e-9 USD.
    std::string_view(R"(
        CREATE TABLE penstock.spending (
            run_id            VARCHAR(64) NOT NULL,
            day_number        BIGINT NOT NULL,
            pipeline          {name} NOT NULL,
            bytes_billed      BIGINT NOT NULL,
            nano_usd          BIGINT NOT NULL,
            slot_millis       BIGINT NOT NULL,
            PRIMARY KEY (run_id, day_number)
        ) {options};
        CREATE INDEX spending_by_day ON penstock.spending (pipeline, day_number);
        CREATE TABLE penstock.bills (
            pipeline          {name} NOT NULL,
            job               VARCHAR(255) NOT NULL,
            account           {text} NOT NULL,
            run_id            VARCHAR(64) NOT NULL,
            opened_at         BIGINT NOT NULL,
            day_number        BIGINT NOT NULL,
            bytes_billed      BIGINT NOT NULL,
            nano_usd          BIGINT NOT NULL,
            PRIMARY KEY (pipeline, job)
        ) {options};
        CREATE INDEX bills_by_run ON penstock.bills (run_id);
        ALTER TABLE penstock.runs ADD COLUMN deferred_until BIGINT NOT NULL DEFAULT 0;
    )"),
    // The scheduler's (intervals.h). Zero times have not come. `token` ties runs to the attempt at an interval they were begun for.
    std::string_view(R"(
        CREATE TABLE penstock.watches (
            pipeline          {name} PRIMARY KEY,
            seen_until        BIGINT NOT NULL,
            paused_at         BIGINT NOT NULL,
            paused_by         {name} NOT NULL
        ) {options};
        CREATE TABLE penstock.intervals (
            pipeline          {name} NOT NULL,
            window_start      BIGINT NOT NULL,
            window_end        BIGINT NOT NULL,
            origin            VARCHAR(16) NOT NULL,
            status            VARCHAR(16) NOT NULL,
            attempts          BIGINT NOT NULL,
            crashes           BIGINT NOT NULL,
            token             VARCHAR(64) NOT NULL,
            leader            VARCHAR(64) NOT NULL,
            not_before        BIGINT NOT NULL,
            made_at           BIGINT NOT NULL,
            began_at          BIGINT NOT NULL,
            ended_at          BIGINT NOT NULL,
            late              BIGINT NOT NULL,
            bounds_cursor     BIGINT NOT NULL,
            remark            {text} NOT NULL,
            PRIMARY KEY (pipeline, window_start, window_end)
        ) {options};
        CREATE INDEX intervals_by_status ON penstock.intervals (status, window_end);
        CREATE INDEX intervals_by_end ON penstock.intervals (pipeline, window_end);
        CREATE INDEX intervals_by_token ON penstock.intervals (token);
        ALTER TABLE penstock.runs ADD COLUMN origin VARCHAR(16) NOT NULL DEFAULT 'manual';
        ALTER TABLE penstock.runs ADD COLUMN window_start BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE penstock.runs ADD COLUMN window_end BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE penstock.runs ADD COLUMN token VARCHAR(64) NOT NULL DEFAULT '';
    )"),
    // Processes that share a pipeline's stream, each in a seat of its own: locks beside one another.
    std::string_view(R"(
        CREATE TABLE penstock.seats (
            pipeline          {name} NOT NULL,
            seat              BIGINT NOT NULL,
            run_id            VARCHAR(64) NOT NULL,
            pid               BIGINT NOT NULL,
            pid_started       BIGINT NOT NULL,
            host              VARCHAR(255) NOT NULL,
            machine           VARCHAR(255) NOT NULL,
            acquired_at       BIGINT NOT NULL,
            lease_until       BIGINT NOT NULL,
            PRIMARY KEY (pipeline, seat)
        ) {options};
    )"),
    // What is counted over all time, or measured now and then, while the history forgets (measures.h).
    std::string_view(R"(
        CREATE TABLE penstock.measures (
            owner             {name} NOT NULL,
            measure           VARCHAR(32) NOT NULL,
            subject           {name} NOT NULL,
            outcome           VARCHAR(16) NOT NULL,
            amount            BIGINT NOT NULL,
            measured_at       BIGINT NOT NULL,
            PRIMARY KEY (owner, measure, subject, outcome)
        ) {options};
    )"),
    // News for receivers (notices.h). A zero time has not come yet.
    std::string_view(R"(
        CREATE TABLE penstock.notices (
            notice            VARCHAR(64) NOT NULL,
            connection        {name} NOT NULL,
            pipeline          {name} NOT NULL,
            event             VARCHAR(32) NOT NULL,
            subject           {name} NOT NULL,
            payload           {text} NOT NULL,
            status            VARCHAR(16) NOT NULL,
            attempts          BIGINT NOT NULL,
            made_at           BIGINT NOT NULL,
            not_before        BIGINT NOT NULL,
            ended_at          BIGINT NOT NULL,
            remark            {text} NOT NULL,
            PRIMARY KEY (notice, connection)
        ) {options};
        CREATE INDEX notices_by_status ON penstock.notices (status, not_before);
        CREATE INDEX notices_by_pipeline ON penstock.notices (pipeline, made_at);
    )"),
    // What was done through the HTTP API (audit.h).
    std::string_view(R"(
        CREATE TABLE penstock.audit (
            deed              VARCHAR(64) PRIMARY KEY,
            done_at           BIGINT NOT NULL,
            actor             {name} NOT NULL,
            actor_role        VARCHAR(16) NOT NULL,
            action_name       VARCHAR(64) NOT NULL,
            subject           {text} NOT NULL,
            detail            {text} NOT NULL,
            answer            BIGINT NOT NULL
        ) {options};
    )"),
    // What runs have logged (run_logs.h), a line of JSON each.
    std::string_view(R"(
        CREATE TABLE penstock.run_logs (
            run_id            VARCHAR(64) NOT NULL,
            line_number       BIGINT NOT NULL,
            line              {text} NOT NULL,
            PRIMARY KEY (run_id, line_number)
        ) {options};
    )"),
};

}  // namespace

std::span<const std::string_view> migrations() { return steps; }

}  // namespace penstock::state
