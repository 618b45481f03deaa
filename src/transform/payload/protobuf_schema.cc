#include "transform/payload/protobuf_schema.h"

#include <fmt/format.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>

namespace penstock::payload {
namespace {

namespace pb = google::protobuf;

constexpr const char* main_file = "(schema)";

/// The first complaint, with its line.
class FirstFault : public pb::io::ErrorCollector, public pb::DescriptorPool::ErrorCollector {
  public:
    void AddError(int line, pb::io::ColumnNumber column, const std::string& message) override {
        if (text.empty()) text = fmt::format("line {}, column {}: {}", line + 1, column + 1, message);
    }
    void AddError(const std::string&, const std::string& element, const pb::Message*, ErrorLocation,
                  const std::string& message) override {
        if (text.empty()) text = fmt::format("{}: {}", element, message);
    }
    void AddWarning(const std::string&, const std::string&, const pb::Message*, ErrorLocation,
                    const std::string&) override {}
    std::string text;
};

/// The files every compiler has.
void add_well_known(pb::SimpleDescriptorDatabase& files) {
    for (const auto* file :
         {pb::Any::descriptor()->file(), pb::Duration::descriptor()->file(), pb::Empty::descriptor()->file(),
          pb::FieldMask::descriptor()->file(), pb::Struct::descriptor()->file(), pb::Timestamp::descriptor()->file(),
          pb::Int64Value::descriptor()->file(), pb::FileDescriptorProto::descriptor()->file()}) {
        pb::FileDescriptorProto copy;
        file->CopyTo(&copy);
        files.Add(copy);
    }
}

bool add_file(const std::string& name, std::string_view text, pb::SimpleDescriptorDatabase& files, FirstFault& faults) {
    pb::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
    pb::io::Tokenizer tokens(&input, &faults);
    pb::compiler::Parser parser;
    parser.RecordErrorsTo(&faults);
    pb::FileDescriptorProto file;
    if (!parser.Parse(&tokens, &file) || !faults.text.empty()) return false;
    file.set_name(name);
    return files.Add(file);
}

}  // namespace

ProtobufSchema::ProtobufSchema() = default;
ProtobufSchema::ProtobufSchema(ProtobufSchema&&) noexcept = default;
ProtobufSchema::~ProtobufSchema() = default;

std::expected<ProtobufSchema, std::string> ProtobufSchema::parse(std::string_view text,
                                                                 const std::vector<NamedSchema>& imported) {
    FirstFault faults;
    ProtobufSchema out;
    out.files_ = std::make_unique<pb::SimpleDescriptorDatabase>();
    add_well_known(*out.files_);
    pb::FileDescriptorProto there;
    for (const auto& file : imported) {
        if (out.files_->FindFileByName(file.name, &there)) continue;  // registries may list the well-known ones
        if (!add_file(file.name, file.text, *out.files_, faults))
            return std::unexpected(fmt::format("{}: {}", file.name, faults.text));
    }
    if (!add_file(main_file, text, *out.files_, faults)) return std::unexpected(faults.text);
    out.pool_ = std::make_unique<pb::DescriptorPool>(out.files_.get(), &faults);
    if (out.pool_->FindFileByName(main_file) == nullptr) return std::unexpected(faults.text);
    out.factory_ = std::make_unique<pb::DynamicMessageFactory>(out.pool_.get());
    return out;
}

const pb::Descriptor* ProtobufSchema::message(std::span<const int64_t> path) const {
    const auto* file = pool_->FindFileByName(main_file);
    const pb::Descriptor* at = nullptr;
    for (int64_t index : path) {
        int count = at == nullptr ? file->message_type_count() : at->nested_type_count();
        if (index < 0 || index >= count) return nullptr;
        at = at == nullptr ? file->message_type(static_cast<int>(index)) : at->nested_type(static_cast<int>(index));
    }
    return at;
}

const pb::Descriptor* ProtobufSchema::message(const std::string& name) const {
    const auto* file = pool_->FindFileByName(main_file);
    if (name.empty()) return file->message_type_count() == 1 ? file->message_type(0) : nullptr;
    if (const auto* found = pool_->FindMessageTypeByName(name)) return found;
    return file->package().empty() ? nullptr : pool_->FindMessageTypeByName(file->package() + "." + name);
}

}  // namespace penstock::payload
