#pragma once

#include "base/secret.h"
#include "config/spec.h"
#include "config/values.h"

namespace penstock::payload {

/// `schema_registry: {url: https://registry.example.com, username: …, password: …}`
struct RegistryOptions {
    config::Text url;
    std::string username;
    Secret password;
    Secret token;
    config::FilePath ca;
};

const config::Spec<RegistryOptions>& registry_spec();

}  // namespace penstock::payload
