// Pipelines and their runs: what the state knows.

import { bytes, count, el, empty, explained, facts, lasted, link, state, table, title, when, written } from "./elements.js";
import { rowsBar, runBars, shareBars } from "./charts.js";
import { action, ask, may, of } from "./server.js";

const runNames = ["Started", "Status", "Began by", "#Took", "#Read", "#Written", "#Rejected", "#Filtered", "Error"];
const runRow = (run) => [link(when(run.started_at) || run.run_id, "run", run.run_id), state(run.status), run.origin, lasted(run.duration_seconds),
  count(run.rows_read), count(run.rows_written), count(run.rows_rejected), count(run.rows_filtered), run.error ? run.error.message : ""];
const stateOf = (one) => state(one.paused ? "paused" : one.state);

export async function pipelines() {
  const all = (await ask("/pipelines")).pipelines;
  if (!all.length) return [title("Pipelines"), empty(el("p", {}, "There are no pipelines yet."), el("p", {}, "Write one in penstock.yaml (", el("code", {}, "penstock init"), " helps) and start the server again."))];
  const remark = (one) => one.last_run && one.last_run.error ? one.last_run.error.message : one.waits_for ? "Waits: " + one.waits_for : "";
  return [title("Pipelines"), table("Pipelines", ["Pipeline", "State", "Last run", "#Written", "#Lag", "#Open rejects", "Next run", "Remark"], all.map((one) => [
    link(one.pipeline, "pipeline", one.pipeline), stateOf(one), one.last_run ? link(when(one.last_run.started_at), "run", one.last_run.run_id) : "",
    one.last_run ? count(one.last_run.rows_written) : "", lasted(one.lag_seconds),
    one.open_rejects ? may("operator") ? link(count(one.open_rejects), "rejects", one.pipeline) : count(one.open_rejects) : "",
    one.paused ? "" : when(one.next_run), remark(one)]))];
}

export async function pipeline(name) {
  const [one, { runs }] = await Promise.all([ask(of(name)), ask("/runs?limit=50&pipeline=" + encodeURIComponent(name))]);
  const actions = el("div", { class: "actions" });
  if (may("operator") && !one.for_each_of)
    actions.append(action("Run now", of(name, "/run"), null, () => "It runs as soon as a worker is free."),
      one.paused ? action("Resume", of(name, "/resume"), null, () => name + " goes on.") : action("Pause", of(name, "/pause"), null, () => name + " is paused."));
  if (may("operator")) actions.append(link("Rejected rows", "rejects", name));
  if (runs.some((run) => run.tables.some((of) => of.checks.length))) actions.append(link("Quality over time", "quality", name));
  const targets = [...new Set(runs.flatMap((run) => run.tables.map((of) => of.target)))].sort();
  const ended = runs.filter((run) => run.status !== "running");
  return [title(name), facts([["State", stateOf(one)], ["From, to", `${one.source} → ${one.target}`],
    ["Schedule", one.schedule ? `${one.schedule} (${one.timezone || "UTC"})` : one.after.length ? "" : "none"],
    ["After", one.after.map((before, i) => [i ? ", " : "", link(before, "pipeline", before)]).flat()],
    ["Next run", one.paused ? "none while it is paused" : when(one.next_run) || "none"], ["Waits", one.waits_for],
    ["Lag", lasted(one.lag_seconds) || "not known"], ["Open rejects", count(one.open_rejects || 0)]].filter(([, value]) => !Array.isArray(value) || value.length)),
  actions, one.last_run ? explained(one.last_run.error) : null,
  targets.length ? [el("h2", {}, "Tables"), el("ul", { class: "tables" }, targets.slice(0, 200).map((target) => el("li", {}, link(target, "schema", name, target))))] : [],
  el("h2", {}, "Runs"), ended.length > 1 ? runBars(ended) : null,
  runs.length ? table("Runs", runNames, runs.map(runRow)) : empty(el("p", {}, "It has not run yet."))];
}

export async function allRuns(before) {
  const all = (await ask("/runs?limit=100" + (before ? "&before=" + encodeURIComponent(before) : ""))).runs;
  const older = all.length === 100 ? el("div", { class: "actions" }, link("Older runs", "runs", all.at(-1).run_id)) : null;
  if (before && !all.length) return [title("Runs"), empty(el("p", {}, "Nothing older is on record. ", link("The newest runs", "runs")))];
  return [title("Runs"), all.length ? table("Runs", ["Pipeline", ...runNames], all.map((run) => [link(run.pipeline, "pipeline", run.pipeline), ...runRow(run)]))
    : empty(el("p", {}, "Nothing has run yet. What runs by schedule, by hand or by cron shows up here.")), older];
}

function rowsOf(one) {
  if (!one.tables.length) return empty(el("p", {}, one.status === "running" ? "It runs. Counts come when it ends." : "No table was read."));
  return [el("p", {}, `${count(one.rows_read)} read = ${count(one.rows_written)} written + ${count(one.rows_rejected)} rejected + ${count(one.rows_filtered)} filtered`),
    one.rows_read ? rowsBar(one) : null,
    table("Tables", ["Table", "Target", "#Read", "#Written", "#Rejected", "#Filtered", "#Took", "Cursor"], one.tables.map((of) => [of.table, link(of.target, "schema", one.pipeline, of.target),
      count(of.rows_read), count(of.rows_written), count(of.rows_rejected), count(of.rows_filtered), lasted(of.duration_seconds),
      of.cursor.to ? `${of.cursor.from || "beginning"} → ${of.cursor.to}` : ""]))];
}

const sample = (values) => !Array.isArray(values) ? written(values) : values.length ? written([...new Set(values.map((one) => JSON.stringify(one)))].slice(0, 5).join(", ")) : "";

// What was read of the log of the run that is shown: only what is new is asked for.
let logged = { id: null, lines: [] };

async function logOf(id) {
  if (!may("operator")) return [];
  if (logged.id !== id) logged = { id, lines: [] };
  const mine = logged, { lines } = await ask(`/runs/${encodeURIComponent(id)}/log?after=${mine.lines.length ? mine.lines.at(-1).number : 0}`);
  const known = mine.lines.length ? mine.lines.at(-1).number : 0; // another look may have come first
  mine.lines = [...mine.lines, ...lines.filter((line) => line.number > known)].slice(-2000);
  return mine.lines;
}

function logTable(lines) {
  let before = 0;
  return table("Log", ["At", "Level", "Message"], lines.flatMap((line) => {
    const gap = line.number - before - 1, details = line.metadata || {};
    before = line.number;
    return [gap > 0 ? [["", "", el("em", {}, `${count(gap)} lines are left out here.`)]] : [],
      [[when(line.timestamp), state(line.level), [el("span", { class: "said" }, line.message), details.where ? el("p", {}, "Where: ", el("code", {}, details.where)) : null, details.hint ? el("p", {}, "What to do: " + details.hint) : null]]]].flat();
  }));
}

export async function run(id) {
  const one = await ask("/runs/" + encodeURIComponent(id)), lines = await logOf(id);
  const checks = one.tables.flatMap((of) => of.checks.map((check) => [of.table, check.check, state(check.success ? "success" : "failed"), check.on_fail, count(check.unexpected_count),
    count(check.element_count), sample(check.unexpected_sample)]));
  const shapes = one.tables.flatMap((of) => of.decisions.map((made) => [of.target, made.column || "", made.change, made.decision, written(made.sql)]));
  const notes = one.tables.flatMap((of) => of.notes.map((note) => el("li", {}, `${of.table}: ${note}`)));
  const rejects = one.rows_rejected && may("operator") ? el("p", {}, link("Rejected rows", "rejects", one.pipeline)) : null;
  return [title(`${one.pipeline}: run ${one.run_id}`), facts([["Pipeline", link(one.pipeline, "pipeline", one.pipeline)], ["Status", state(one.status)], ["Started", when(one.started_at)],
    [one.status === "running" ? "Runs for" : "Took", `${lasted(one.duration_seconds)}, ${one.attempts} ${one.attempts === 1 ? "try" : "tries"}`], ["Began by", one.origin],
    ["Window", one.window ? el("span", {}, when(one.window.start), " to ", when(one.window.end)) : null],
    ["Read", one.bytes_read ? bytes(one.bytes_read) : null], ["Memory", one.peak_memory_bytes ? bytes(one.peak_memory_bytes) + " at most" : null],
    ["Cost", one.cost_usd || one.bytes_billed ? `${one.cost_usd} USD, ${bytes(one.bytes_billed)} billed` : null]]),
  explained(one.error), el("h2", {}, "Rows"), rowsOf(one), rejects,
  notes.length ? [el("h2", {}, "Remarks"), el("ul", {}, notes)] : [],
  checks.length ? [el("h2", {}, "Checks"), table("Checks", ["Table", "Check", "Result", "When it fails", "#Unexpected", "#Of", "Such as"], checks)] : [],
  shapes.length ? [el("h2", {}, "Changes of shape"), table("Changes of shape", ["Table", "Column", "Change", "Decision", "SQL"], shapes)] : [],
  may("operator") ? [el("h2", {}, "Log"), lines.length ? logTable(lines) : empty(el("p", {}, one.status === "running" ? "It has said nothing yet." : "Nothing is kept of what it has said."))] : []];
}

export async function quality(name) {
  const runs = (await ask("/runs?limit=200&pipeline=" + encodeURIComponent(name))).runs, byCheck = new Map();
  for (const one of [...runs].reverse())
    for (const of of one.tables)
      for (const check of of.checks) {
        const key = JSON.stringify([of.table, check.check]);
        if (!byCheck.has(key)) byCheck.set(key, { table: of.table, name: check.check, all: [] });
        byCheck.get(key).all.push({ at: one.started_at, success: check.success, share: check.element_count ? check.unexpected_count / check.element_count : check.success ? 0 : 1 });
      }
  const percent = (share) => (share * 100).toFixed(2) + "%";
  return [title("Quality of " + name), el("p", {}, link("Back to " + name, "pipeline", name)),
    byCheck.size ? [...byCheck.values()].map((of) => [el("h2", {}, `${of.table}: ${of.name}`), shareBars(of.name, of.all.slice(-60)),
      facts([["Newest", el("span", {}, state(of.all.at(-1).success ? "success" : "failed"), ", ", percent(of.all.at(-1).share) + " unexpected")],
        ["Worst", percent(Math.max(...of.all.map((one) => one.share)))], ["Failed", `${of.all.filter((one) => !one.success).length} of ${of.all.length} runs`]])])
      : empty(el("p", {}, "No check has run yet. Checks are written under ", el("code", {}, "checks:"), " of a pipeline."))];
}
