#include "transform/steps/program_streams.h"

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <fmt/format.h>

namespace penstock::steps {

class ProgramInput::Stream : public arrow::io::OutputStream {
  public:
    explicit Stream(ProgramProcess& process) : process_(process) {}
    arrow::Status Write(const void* bytes, int64_t size) override {
        auto written = process_.write(static_cast<const char*>(bytes), static_cast<size_t>(size));
        if (written) {
            at_ += size;
            return arrow::Status::OK();
        }
        error = std::move(written.error());
        return arrow::Status::IOError(error->message);
    }
    arrow::Status Close() override { return arrow::Status::OK(); }
    arrow::Result<int64_t> Tell() const override { return at_; }
    bool closed() const override { return false; }

    std::optional<Error> error;

  private:
    ProgramProcess& process_;
    int64_t at_ = 0;
};

class ProgramOutput::Stream : public arrow::io::InputStream {
  public:
    explicit Stream(ProgramProcess& process) : process_(process) {}
    arrow::Result<int64_t> Read(int64_t size, void* out) override {
        int64_t done = 0;
        while (done < size) {
            auto got = process_.read(static_cast<char*>(out) + done, static_cast<size_t>(size - done));
            if (!got) {
                error = std::move(got.error());
                return arrow::Status::IOError(error->message);
            }
            if (*got == 0) break;
            done += static_cast<int64_t>(*got);
        }
        at_ += done;
        return done;
    }
    arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override {
        ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(size));
        ARROW_ASSIGN_OR_RAISE(int64_t got, Read(size, buffer->mutable_data()));
        ARROW_RETURN_NOT_OK(buffer->Resize(got, false));
        return std::shared_ptr<arrow::Buffer>(std::move(buffer));
    }
    arrow::Status Close() override { return arrow::Status::OK(); }
    arrow::Result<int64_t> Tell() const override { return at_; }
    bool closed() const override { return false; }

    std::optional<Error> error;

  private:
    ProgramProcess& process_;
    int64_t at_ = 0;
};

ProgramInput::ProgramInput(ProgramProcess& process) : process_(process), stream_(std::make_shared<Stream>(process)) {}
ProgramInput::~ProgramInput() = default;

namespace {

Error not_written(const std::optional<Error>& own, const arrow::Status& status) {
    if (own) return *own;
    return {.kind = ErrorKind::internal, .code = "arrow_write", .message = status.ToString()};
}

}  // namespace

Status ProgramInput::open(const std::shared_ptr<arrow::Schema>& schema) {
    auto writer = arrow::ipc::MakeStreamWriter(stream_, schema);
    if (!writer.ok()) return fail(not_written(stream_->error, writer.status()));
    writer_ = *writer;
    return {};
}

Status ProgramInput::write(const arrow::RecordBatch& batch) {
    auto status = writer_->WriteRecordBatch(batch);
    return status.ok() ? Status() : fail(not_written(stream_->error, status));
}

Status ProgramInput::close() {
    auto status = writer_->Close();
    process_.close_input();
    return status.ok() ? Status() : fail(not_written(stream_->error, status));
}

ProgramOutput::ProgramOutput(ProgramProcess& process) : process_(process), stream_(std::make_shared<Stream>(process)) {}
ProgramOutput::~ProgramOutput() = default;

Error ProgramOutput::broken(const std::string& message) {
    if (stream_->error) return *stream_->error;
    return process_.broken("program_output", fmt::format("wrote what is no Arrow IPC stream: {}", message));
}

Result<std::shared_ptr<arrow::Schema>> ProgramOutput::schema() {
    if (reader_ == nullptr) {
        auto opened = arrow::ipc::RecordBatchStreamReader::Open(stream_);
        if (!opened.ok()) return fail(broken(opened.status().message()));
        reader_ = *opened;
    }
    return reader_->schema();
}

Result<std::shared_ptr<arrow::RecordBatch>> ProgramOutput::next() {
    std::shared_ptr<arrow::RecordBatch> batch;
    auto status = reader_->ReadNext(&batch);
    if (!status.ok()) return fail(broken(status.message()));
    // What a program writes is not trusted: offsets and lengths may lie.
    if (batch != nullptr)
        if (auto valid = batch->ValidateFull(); !valid.ok()) return fail(broken(valid.message()));
    return batch;
}

}  // namespace penstock::steps
