#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/http.h"
#include "transform/payload/format.h"

namespace penstock::payload {

struct NamedSchema {
    std::string name;
    std::string text;
};

struct RegisteredSchema {
    Format format = Format::avro;
    std::string text;
    std::vector<NamedSchema> references;  ///< each before those that use it
};

/// Schemas by their number, which stands for one schema for ever. One thread.
class Registry {
  public:
    explicit Registry(RegistryOptions options);

    /// A sentence's end where the registry's answer is that there is no such schema, or no schema that could be one: it may be
    /// different in a while. An error where it gives no answer, or wants another password.
    Result<std::expected<RegisteredSchema, std::string>> by_id(uint32_t id, std::stop_token stop);

  private:
    Result<std::expected<nlohmann::json, std::string>> get(const std::string& path, std::stop_token stop);
    Result<std::expected<void, std::string>> add_references(const nlohmann::json& answer, RegisteredSchema& into,
                                                            std::stop_token stop, int depth);

    RegistryOptions options_;
    std::string base_;
    io::HttpClient http_;
};

}  // namespace penstock::payload
