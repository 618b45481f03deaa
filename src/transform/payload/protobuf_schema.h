#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transform/payload/registry.h"

namespace google::protobuf {
class Descriptor;
class DescriptorPool;
class DynamicMessageFactory;
class SimpleDescriptorDatabase;
}  // namespace google::protobuf

namespace penstock::payload {

/// A .proto file with those that it imports, compiled by libprotobuf. One thread.
class ProtobufSchema {
  public:
    /// Or a sentence's end.
    static std::expected<ProtobufSchema, std::string> parse(std::string_view text,
                                                            const std::vector<NamedSchema>& imported);
    ProtobufSchema(ProtobufSchema&&) noexcept;
    ~ProtobufSchema();

    /// The message type at `path`: the third of the file is {2}, the first within it {2, 0}. Null where there is none.
    const google::protobuf::Descriptor* message(std::span<const int64_t> path) const;
    /// By its name, within its package or full; "": the file's only one.
    const google::protobuf::Descriptor* message(const std::string& name) const;
    google::protobuf::DynamicMessageFactory& factory() const { return *factory_; }

  private:
    ProtobufSchema();
    std::unique_ptr<google::protobuf::SimpleDescriptorDatabase> files_;
    std::unique_ptr<google::protobuf::DescriptorPool> pool_;
    std::unique_ptr<google::protobuf::DynamicMessageFactory> factory_;
};

/// One message as JSON, appended; or what is wrong. Field names are the file's own, 64-bit integers are numbers, bytes base64, enums
/// their names, Timestamp and Duration ISO 8601, wrappers and Struct what they hold. A field without presence that has its default is
/// written: it is there. Fields that the schema does not know are a fault, for they would be lost.
std::expected<void, std::string> append_protobuf(const ProtobufSchema& schema, const google::protobuf::Descriptor& type,
                                                 std::string_view bytes, std::string& json);

}  // namespace penstock::payload
