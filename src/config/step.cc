#include "config/step.h"

#include "config/mistake.h"

namespace penstock::config {
namespace {

const Spec<FilterStep>& filter_spec() {
    using F = FilterStep;
    static const auto made =
        Spec<F>("filter", "Rows go on where a condition is true; the others count as filtered.")
            .required("name", &F::name, "What the rule is called, in messages and logs.", {.example = "only_active"})
            .required("where", &F::where,
                      "A condition in SQL over the row's columns. Rows for which it is NULL are left out too.",
                      {.example = "\"status <> 'test'\""});
    return made;
}

const Spec<MaskStep>& mask_spec() {
    using M = MaskStep;
    static const auto made =
        Spec<M>("mask", "Values are replaced by what says less. NULL stays NULL.")
            .required("columns", &M::columns, "The columns.", {.example = "[email, phone]"})
            .choice("with", &M::with,
                    {{"sha256", Mask::sha256,
                      "SHA-256 of the salt and the value's text, as 64 hexadecimal digits: the same value gives the "
                      "same text."},
                     {"redact", Mask::redact, "`***`. Of columns of text."},
                     {"nullify", Mask::nullify, "NULL."},
                     {"partial", Mask::partial,
                      "`*` for each character but the last ones (`keep`); all of them where there are no more. Of "
                      "columns of text."}},
                    "What stands in place of a value.")
            .field("salt", &M::salt,
                   "Text in front of each value before it is hashed. Without one, values that can be guessed, such as "
                   "e-mail addresses, can be found again.",
                   {.example = "${SALT}"})
            .field("keep", &M::keep, "How many characters `partial` shows, from the end.", {.least = 1, .most = 100})
            .check([](const M& mask, const Node&) -> Status {
                if (mask.columns.empty())
                    return fail({.kind = ErrorKind::configuration,
                                 .code = "no_columns",
                                 .message = "`columns` names none",
                                 .hint = "name the columns to mask, such as [email]"});
                if (mask.salt.empty() || mask.with == Mask::sha256) return {};
                return fail(mistake(mask.columns.front(), "option_without_effect",
                                    "`salt` has no effect but with sha256", "leave it out"));
            });
    return made;
}

const Spec<HashStep>& hash_spec() {
    using H = HashStep;
    static const auto made =
        Spec<H>("hash", "A column with one SHA-256 of several columns, such as a key made of them.")
            .required("columns", &H::columns, "The columns, in this order.", {.example = "[shop, order_no]"})
            .required("into", &H::into, "The name of the new column.", {.example = "order_key"})
            .field("salt", &H::salt, "Text in front of what is hashed.", {.example = "${SALT}"});
    return made;
}

const Spec<LookupStep>& lookup_spec() {
    using L = LookupStep;
    using M = LookupStep::Missing;
    static const auto made =
        Spec<L>("lookup", "Adds columns from the row of a file that has the same key.")
            .required("file", &L::file, "A file of CSV with a heading, Parquet, or JSON (NDJSON too), held in memory.",
                      {.example = "countries.csv"})
            .required("on", &L::on, "Columns of the rows, and which of the file they must equal.",
                      {.example = "{country: code}"})
            .required("columns", &L::columns, "The file's columns that are added.",
                      {.example = "[country_name, region]"})
            .choice("missing", &L::missing,
                    {{"keep", M::keep, "The columns are NULL."},
                     {"filter", M::filter, "The row is left out and counts as filtered."},
                     {"reject", M::reject, "The row is rejected."}},
                    "What becomes of a row whose key the file does not have.")
            .field("refresh", &L::refresh,
                   "How old the file in memory may be before it is read again, between two commits of a run.",
                   {.example = "10m", .default_note = "read once a run"})
            .check([](const L& lookup, const Node&) -> Status {
                if (!lookup.on.empty() && !lookup.columns.empty()) return {};
                return fail({.kind = ErrorKind::configuration,
                             .code = "empty_step",
                             .message = "`on` or `columns` names none",
                             .hint = "name the columns that must be equal, and those to add"});
            });
    return made;
}

const Spec<DedupeStep>& dedupe_spec() {
    using D = DedupeStep;
    static const auto made =
        Spec<D>("dedupe", "Of rows with the same key the first goes on; the others count as filtered.")
            .required("key", &D::key, "Columns that are the same in rows which are the same.",
                      {.example = "[event_id]"})
            .field("within", &D::within,
                   "How long a key is remembered after it was seen. What is remembered is in memory alone: it is gone "
                   "when the run ends or tries again.",
                   {.example = "1h", .default_note = "as long as the run lasts"})
            .field("keys", &D::keys,
                   "How many keys are remembered at most, about 100 bytes each. Without `within`, a run with more of "
                   "them ends; with it, the oldest are forgotten.",
                   {.least = 1})
            .check([](const D& dedupe, const Node&) -> Status {
                if (!dedupe.key.empty()) return {};
                return fail({.kind = ErrorKind::configuration,
                             .code = "no_columns",
                             .message = "`key` names no column",
                             .hint = "name the columns that tell rows apart, such as [event_id]"});
            });
    return made;
}

const Spec<GeoipStep>& geoip_spec() {
    using G = GeoipStep;
    using M = GeoipStep::Missing;
    static const auto made =
        Spec<G>("geoip", "Adds a column with what a database knows of an IP address, such as its country.")
            .required("column", &G::column, "The column with the address, IPv4 or IPv6, as text.",
                      {.example = "ip_address"})
            .required("into", &G::into, "The name of the new column, of text.", {.example = "country"})
            .required("database", &G::database,
                      "A file in MaxMind's format (.mmdb), such as GeoLite2 or DB-IP. One that is put in its place "
                      "(renamed over it, not written into) is taken up by the next commit.",
                      {.example = "country.mmdb"})
            .field("value", &G::value,
                   "Where the value stands in the database's records: names and numbers of list "
                   "elements, with dots between.",
                   {.example = "city.names.en"})
            .choice("missing", &G::missing,
                    {{"keep", M::keep, "The column is NULL."},
                     {"filter", M::filter, "The row is left out and counts as filtered."}},
                    "What becomes of a row without address, with one that is none, or with one that the database does "
                    "not know.");
    return made;
}

const Spec<ProgramStep>& program_spec() {
    using P = ProgramStep;
    static const auto made =
        Spec<P>("program", "A program that takes and gives rows as Arrow streams.")
            .required("command", &P::command,
                      "The program and its arguments, started in the folder of the configuration file without a shell. "
                      "It reads an "
                      "Arrow IPC stream on its standard input and writes one on its standard output.",
                      {.example = "[python3, rules.py]"})
            .field("timeout", &P::timeout,
                   "How long it may neither take nor give a batch, and how long it may take to end.")
            .check([](const P& program, const Node&) -> Status {
                if (!program.command.empty() && !program.command.front().empty()) return {};
                return fail({.kind = ErrorKind::configuration,
                             .code = "no_command",
                             .message = "`command` is empty",
                             .hint = "name a program, such as [python3, rules.py]"});
            });
    return made;
}

}  // namespace

std::string_view Step::kind() const {
    if (!sql.empty()) return "sql";
    if (!rename.empty()) return "rename";
    if (!drop.empty()) return "drop";
    if (!cast.empty()) return "cast";
    if (filter) return "filter";
    if (mask) return "mask";
    if (lookup) return "lookup";
    if (dedupe) return "dedupe";
    if (geoip) return "geoip";
    if (program) return "program";
    return "hash";
}

const Spec<Step>& step_spec() {
    using S = Step;
    static const auto made =
        Spec<S>("step", "What happens to rows between source and target.")
            .field("sql", &S::sql,
                   "A query over the rows, which are the table `batch`, in DuckDB's SQL. It runs on each block of up "
                   "to 2,048 rows alone: an aggregate is one of a block. Rows that it leaves out count as filtered; it "
                   "cannot give more rows than it was given.",
                   {.example = "\"SELECT *, lower(email) AS email_lc FROM batch\""})
            .field("rename", &S::rename, "New names of columns, by their old ones.", {.example = "{mail: email}"})
            .field("drop", &S::drop, "Columns that are left out.", {.example = "[ssn, notes]"})
            .field("cast", &S::cast,
                   "Types of columns, as DuckDB names them. A row with a value that the type does not hold exactly is "
                   "rejected.",
                   {.example = "{amount: \"DECIMAL(12,2)\"}"})
            .field("filter", &S::filter, filter_spec(), "Leaves out rows by a named rule.")
            .field("mask", &S::mask, mask_spec(), "Replaces personal data by what says less.")
            .field("hash", &S::hash, hash_spec(), "Adds a digest of columns.")
            .field("lookup", &S::lookup, lookup_spec(), "Adds columns from a file.")
            .field("dedupe", &S::dedupe, dedupe_spec(), "Leaves out rows that came before.")
            .field("geoip", &S::geoip, geoip_spec(), "Adds what a database knows of an IP address.")
            .field("program", &S::program, program_spec(), "Sends the rows through a program.")
            .field("tables", &S::tables, "The source's tables that the step is for.",
                   {.example = "[public.customers]", .default_note = "all"})
            .one_of({"sql", "rename", "drop", "cast", "filter", "mask", "hash", "lookup", "dedupe", "geoip", "program"})
            .check([](const S& step, const Node& node) -> Status {
                for (auto kind : {"sql", "rename", "drop", "cast"})
                    if (const Node* given = node.find(kind); given != nullptr && step.kind() != kind)
                        return fail({.kind = ErrorKind::configuration,
                                     .code = "empty_step",
                                     .message = std::string("`") + kind + "` is empty",
                                     .where = given->place.text(),
                                     .hint = "say what it does, or leave the step out"});
                return {};
            });
    return made;
}

}  // namespace penstock::config
