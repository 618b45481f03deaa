#pragma once

#include <string>

#include "base/secret.h"
#include "config/values.h"

namespace penstock::config {

template <class T>
class Spec;

/// `store:` of a backup: where its objects are, and the key that they are encrypted with.
struct BackupStore {
    Text connection;
    Text path;
    Located<Secret> encrypt;
};

/// One entry of `backups`: a server, and the place of its backups.
struct Backup {
    std::string name;
    Place place;  ///< of the name
    Text connection;
    BackupStore store;
};

const Spec<Backup>& backup_spec();

}  // namespace penstock::config
