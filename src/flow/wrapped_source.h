#pragma once

#include <memory>
#include <utility>

#include "flow/source.h"

namespace penstock::flow {

/// A source around another that changes its tables or rows on the way; where it goes on, and what it lets go of, is the inner
/// one's.
class WrappedSource : public Source {
  public:
    explicit WrappedSource(std::unique_ptr<Source> inner) : inner_(std::move(inner)) {}

    Status resume(std::optional<Checkpoint> from) override { return inner_->resume(std::move(from)); }
    Status confirm(size_t table, const Checkpoint& durable) override { return inner_->confirm(table, durable); }
    Status confirm_stream(const Checkpoint& durable) override { return inner_->confirm_stream(durable); }
    Result<std::optional<Checkpoint>> set_aside(size_t table, const Error& error) override {
        return inner_->set_aside(table, error);
    }
    Spending spent() const override { return inner_->spent(); }
    Source& inner() { return *inner_; }

  protected:
    std::unique_ptr<Source> inner_;
};

}  // namespace penstock::flow
