// Backups: what the state knows at once, and what stores say when they have said it.

import { goalBars, phaseBars } from "./charts.js";
import { bytes, count, el, empty, explained, facts, lasted, link, state, table, title, when, written } from "./elements.js";
import { action, ask, may, slowly } from "./server.js";

const at = (name, rest) => "/backups/" + encodeURIComponent(name) + (rest || "");
const asking = () => el("p", { class: "dim" }, "The store is being asked…");
const jobNames = { full: "Full backup", incremental: "Incremental backup", drill: "Drill" };
const doNow = { full: "Take a full backup", incremental: "Take an incremental backup", drill: "Drill now" };

/// What is shown of a look at a store: `shown(value)`, and where it is an older one or none, why.
function looked(look, shown) {
  if (look.value) return [shown(look.value), look.value.trouble ? [el("p", {}, "This is what was known at ", when(look.value.asked_at), ":"), explained(look.value.trouble)] : null];
  return look.error ? explained(look.error) : asking();
}

const verdict = (status) => !status.rto.goal_seconds && !status.rpo.goal_seconds ? "no goals are set"
  : status.holds ? el("span", { class: "state success" }, "as it should be") : el("span", { class: "state failed" }, "not as it should be");
const against = (one) => [one.seconds == null ? "not known" : lasted(one.seconds), one.goal_seconds == null ? "" : ` of ${lasted(one.goal_seconds)}`,
  one.holds === false ? el("strong", { class: "failed" }, " beyond its goal") : null];
const drilled = (drill) => drill ? [state(drill.passed ? "passed" : "failed"), " ", when(drill.ended_at)] : "none yet";
const next = (jobs) => jobs.filter((job) => job.next_run && !job.paused).sort((a, b) => a.next_run < b.next_run ? -1 : 1)[0];

/// What wants to be known of the jobs of a backup, a sentence each.
function remarks(jobs) {
  return jobs.flatMap((job) => [job.state === "failed" ? `${jobNames[job.kind]} failed: ${job.last.error || "it did not say why"}` : "",
    job.state === "running" ? `${jobNames[job.kind]} is under way` : "", job.paused ? `${jobNames[job.kind]} is paused` : "",
    job.state === "waiting" ? `${jobNames[job.kind]} waits${job.waits_for ? ": " + job.waits_for : " for a worker"}` : ""]).filter(Boolean).map((text) => el("p", {}, text));
}

export async function backups() {
  const all = (await ask("/backups")).backups;
  const row = (one) => {
    const look = slowly(at(one.backup, "/status")), status = look.value && look.value.status, coming = next(one.jobs);
    const unknown = look.error ? el("span", { class: "state failed" }, "not known") : el("span", { class: "dim" }, "asking…");
    return [link(one.backup, "backup", one.backup), status ? verdict(status) : unknown, status ? against(status.rpo) : "", status ? against(status.rto) : "",
      one.newest_at ? lasted(one.age_seconds) + " old" : status && status.backup ? status.backup : el("strong", {}, "none is known"), drilled(one.drill), coming ? [jobNames[coming.kind], " ", when(coming.next_run)] : "", remarks(one.jobs)];
  };
  const wrong = [...new Map(all.map((one) => slowly(at(one.backup, "/status")).error).filter(Boolean).map((error) => [error.message, error])).values()];
  return [title("Backups"), all.length ? table("Backups", ["Backup", "Recovery is", "It would lose", "It would take", "Newest backup", "Last drill", "Next", "Remark"], all.map(row))
    : empty(el("p", {}, "The configuration has no backups. Write them under ", el("code", {}, "backups:"), ".")), wrong.map(explained)];
}

function jobsOf(one) {
  const acts = (job) => !may("operator") ? null : el("div", { class: "actions" },
    job.open_intervals ? null : action(doNow[job.kind], at(one.backup, `/jobs/${job.kind}/run`), null, () => "It begins as soon as a worker is free."),
    job.paused ? action(`Resume ${job.kind}`, at(one.backup, `/jobs/${job.kind}/resume`), null, () => jobNames[job.kind] + " goes on.")
      : job.schedule ? action(`Pause ${job.kind}`, at(one.backup, `/jobs/${job.kind}/pause`), null, () => jobNames[job.kind] + " is paused.") : null);
  const last = (job) => job.last ? [when(job.last.ended_at), job.last.duration_seconds == null ? "" : ", took " + lasted(job.last.duration_seconds)] : "";
  return table("Jobs", ["Job", "State", "Schedule", "Last ended", "Next", "Remark", "What to do"], one.jobs.map((job) => [jobNames[job.kind], state(job.state),
    job.schedule ? `${job.schedule} (${job.timezone || "UTC"})` : "by hand only", last(job), job.paused ? state("paused") : when(job.next_run),
    job.state === "failed" ? job.last.error || "" : job.waits_for || "", acts(job)]));
}

function drillsOf(name, one, all) {
  if (!all.length) return empty(el("p", {}, "There was no drill yet. A backup that was never restored is a hope: ", el("code", {}, "penstock backup drill " + name), " proves it."));
  const whole = all.filter((drill) => !drill.error), bar = (drill, key) => ({ at: drill.ended_at, passed: drill.passed, seconds: drill[key] });
  const shown = (drill) => may("operator") ? link(when(drill.ended_at), "drill", name, drill.id) : when(drill.ended_at);
  return [whole.length > 1 ? [el("h3", {}, "Until the restored server answered (RTO)"), goalBars("RTO", one.rto_goal_seconds, whole.map((drill) => bar(drill, "rto_seconds")).reverse()),
    el("h3", {}, "What would have been lost (RPO)"), goalBars("RPO", one.rpo_goal_seconds, whole.map((drill) => bar(drill, "rpo_seconds")).reverse())] : [],
  table("Drills", ["Ended", "Verdict", "#RTO", "#RPO", "Restored backup", "What failed"], all.map((drill) => drill.error ? [drill.id, state("damaged"), "", "", "", drill.error.message]
    : [shown(drill), state(drill.passed ? "passed" : "failed"), lasted(drill.rto_seconds), lasted(drill.rpo_seconds), drill.restored || "", drill.failures.map((text) => el("p", {}, text))]))];
}

const until = (range) => !range ? "" : range.to_time ? when(range.to_time) : range.to_lsn || "";
const newest = (all, kind) => all.filter((one) => one.kind === kind).map((one) => one.ended_at).sort().at(-1);

function stored(name, all) {
  return all.length ? table("What can be restored", ["Backup", "Kind", "Ended", "PostgreSQL", "Recoverable to", "#Files", "#Size", "#Stored", "Trouble"], all.map((one) => [one.id, one.kind || "", when(one.ended_at),
    one.server_version || "", until(one.recoverable), count(one.files), bytes(one.bytes), bytes(one.stored_bytes), one.error ? one.error.message : ""]))
    : empty(el("p", {}, "Nothing can be restored yet: the store has no backup. ", el("code", {}, "penstock backup run " + name), " makes one."));
}

/// How far the stored log reaches, and how long ago that was: `recoverable` of the newest backup.
function logOf(all) {
  const range = all.map((one) => one.recoverable).filter(Boolean).at(-1);
  if (!range) return null;
  return [until(range), range.to_time ? `, ${lasted(Math.max(0, (Date.now() - Date.parse(range.to_time)) / 1000))} ago` : "", range.missing ? el("strong", {}, " then log is missing") : null];
}

export async function backup(name) {
  const one = (await ask("/backups")).backups.find((each) => each.backup === name);
  if (!one) throw Object.assign(new Error(), { status: 404, error: { message: `There is no backup “${name}”.`, hint: "the page Backups has all of them" } });
  const status = slowly(at(name, "/status")), held = slowly(at(name)), drills = slowly(at(name, "/drills"));
  const all = held.value ? held.value.backups : null;
  return [title("Backup " + name), el("p", {}, link("Back to backups", "backups")),
    looked(status, ({ status: of }) => facts([["Recovery is", verdict(of)], ["It would lose (RPO)", el("span", {}, against(of.rpo), "; ", of.rpo.from)],
      ["It would take (RTO)", el("span", {}, against(of.rto), "; ", of.rto.from)], ["Holds all until", of.held_until ? when(of.held_until) : null],
      ["Beyond its goal from", of.rpo_breaks_at && of.rpo.holds ? el("span", {}, when(of.rpo_breaks_at), ", where nothing more is stored") : null]])),
    facts([["Tier", one.tier], ["Server", one.connection], ["Store", one.store], ["Newest full backup", all && newest(all, "full") ? when(newest(all, "full")) : null],
      ["Newest incremental", all && newest(all, "incremental") ? when(newest(all, "incremental")) : null], ["Log up to", all ? logOf(all) : null]]),
    el("h2", {}, "Jobs"), jobsOf(one), el("h2", {}, "Drills"), looked(drills, (value) => drillsOf(name, one, value.drills)),
    el("h2", {}, "What can be restored"), looked(held, (value) => stored(name, value.backups))];
}

/// A drill's report: what was stored, shown as text.
function reportOf(one) {
  const of = one.restored || {}, pages = one.pages, faults = pages ? pages.faults.map((fault) => [fault.database, `${fault.kind} ${fault.relation}`, fault.page == null ? "" : count(fault.page), fault.file, fault.what]) : [];
  const compared = one.compared.flatMap((each) => [...each.tables.map((made) => [each.pipeline, made.target || made.table || "", state(made.equal ? "equal" : "different"), written(made.differences)]),
    ...each.error || each.note ? [[each.pipeline, "", "", each.error ? each.error.message : each.note]] : []]);
  return [one.failures.length ? el("div", { class: "error" }, one.failures.map((text) => el("p", {}, text))) : null,
    facts([["Verdict", state(one.passed ? "passed" : "failed")], ["From, to", el("span", {}, when(one.started_at), " to ", when(one.ended_at))], ["RTO: until it answered", lasted(one.rto_seconds) || "not measured"],
      ["RPO: what would be lost", lasted(one.rpo_seconds) || "not measured"], ["Restored backup", of.id], ["Server", of.server_version ? "PostgreSQL " + of.server_version : null],
      ["Size", of.bytes == null ? null : `${bytes(of.bytes)}, stored as ${bytes(of.stored_bytes)}`], ["Log up to", of.log_to_lsn], ["Holds all until", of.held_until ? when(of.held_until) : null], ["Its network", one.network]]),
    one.phases.length ? [el("h2", {}, "Phases"), phaseBars(one.phases)] : [],
    one.queries.length ? [el("h2", {}, "Queries"), table("Queries", ["Query", "Verdict", "#Rows", "First value", "#Took"], one.queries.map((query) => [written(query.sql), state(query.passed ? "passed" : "failed"), count(query.rows),
      query.error ? query.error.message : written(query.first_value), lasted(query.seconds)]))] : [],
    pages ? [el("h2", {}, "Pages"), el("p", {}, `${count(pages.tables)} tables and ${count(pages.indexes)} indexes of ${count(pages.databases)} databases were read by amcheck. `,
      pages.checksums_computed == null ? pages.no_checksums : `The checksums of ${count(pages.checksums_computed)} pages were computed.`),
    faults.length ? table("Faults", ["Database", "Relation", "#Page", "File", "What is wrong"], faults.slice(0, 200)) : null] : [],
    compared.length ? [el("h2", {}, "Compared with the warehouse"), table("Compared with the warehouse", ["Pipeline", "Table", "Verdict", "Differences"], compared)] : []];
}

export async function drill(name, id) {
  const look = slowly(at(name, "/drills/" + encodeURIComponent(id)));
  return [title(`Drill of ${name}`), el("p", {}, link("Back to " + name, "backup", name), " ", el("span", { class: "dim" }, id)), looked(look, reportOf)];
}
