#pragma once

#include <memory>
#include <optional>

#include "base/error.h"
#include "transform/steps/program_process.h"

namespace arrow {
class RecordBatch;
class RecordBatchReader;
class Schema;
namespace ipc {
class RecordBatchWriter;
}
}  // namespace arrow

namespace penstock::steps {

/// Batches into a program's standard input. The writing thread's.
class ProgramInput {
  public:
    explicit ProgramInput(ProgramProcess& process);
    ~ProgramInput();
    Status open(const std::shared_ptr<arrow::Schema>& schema);
    Status write(const arrow::RecordBatch& batch);
    /// The end of the stream and of the program's input.
    Status close();

  private:
    class Stream;
    ProgramProcess& process_;
    std::shared_ptr<Stream> stream_;
    std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

/// Batches out of a program's standard output. The reading thread's.
class ProgramOutput {
  public:
    explicit ProgramOutput(ProgramProcess& process);
    ~ProgramOutput();
    /// Waits for the schema.
    Result<std::shared_ptr<arrow::Schema>> schema();
    /// Null at the end.
    Result<std::shared_ptr<arrow::RecordBatch>> next();

  private:
    class Stream;
    Error broken(const std::string& message);
    ProgramProcess& process_;
    std::shared_ptr<Stream> stream_;
    std::shared_ptr<arrow::RecordBatchReader> reader_;
};

}  // namespace penstock::steps
