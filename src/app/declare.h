#pragma once

#include <string>

#include "app/options.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace penstock::app {

// Parts of the command line, in the order in which `penstock --help` lists them.
void declare_schema(CLI::App& program, Options& options);
void declare_rejects(CLI::App& program, Options& options);
void declare_replay(CLI::App& program, Options& options);
void declare_verify(CLI::App& program, Options& options);
void declare_why(CLI::App& program, Options& options);
void declare_quality(CLI::App& program, Options& options);
void declare_backups(CLI::App& program, Options& options);
void declare_slots(CLI::App& program, Options& options);

// What they are made of. A hidden command is not in the help.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& doc, bool hidden = false);
CLI::Option* take_names(Options& options, CLI::App* command, const std::string& what, const std::string& doc,
                        bool required = false);
CLI::Option* take_name(Options& options, CLI::App* command, const std::string& what, const std::string& doc,
                       bool required);
void take_most(Options& options, CLI::App& at, const char* doc);
/// A whole number above 0.
CLI::Validator count_validator();

}  // namespace penstock::app
