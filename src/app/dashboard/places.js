// What targets and sources are asked for, and the order of things. Asked once, not again and again.

import { graph } from "./charts.js";
import { bytes, count, el, empty, lasted, link, state, table, title, when, written } from "./elements.js";
import { action, ask, may, of } from "./server.js";

const perPage = 50;

export async function rejects(name, offset, search) {
  const from = Number(offset || 0), looked = search || "";
  const page = await ask(of(name, `/rejects?limit=${perPage}&offset=${from}` + (looked ? "&search=" + encodeURIComponent(looked) : "")));
  const field = el("input", { id: "search", type: "search", maxlength: 200, value: looked });
  const form = el("form", { role: "search", class: "search", onsubmit: (event) => {
    event.preventDefault();
    location.hash = "#/" + ["rejects", name, 0, document.getElementById("search").value.trim()].map(encodeURIComponent).join("/");
  } }, el("label", { for: "search" }, "Search reasons, keys and values"), field, el("button", {}, "Search"));
  const outcome = (done) => (done.runs || []).map((one) => `${count(one.rows_written)} written, ${count(one.rows_rejected)} still rejected`).join("; ") || "Nothing was open.";
  const actions = el("div", { class: "actions" });
  if (page.rejects.length && !looked) actions.append(action("Read all again", of(name, "/rejects/replay"), {}, outcome));
  if (from) actions.append(link("Earlier page", "rejects", name, Math.max(0, from - perPage), looked));
  if (page.more) actions.append(link("Next page", "rejects", name, from + perPage, looked));
  const one = (row) => [el("span", {}, row.reason, " ", el("code", { class: "dim" }, row.code)), row.table, row.column || "", written(row.key), written(row.payload), when(row.received_at),
    el("div", { class: "actions" }, row.pipeline === name ? action("Read again", of(name, "/rejects/replay"), { id: row.id }, outcome) : null,
      may("admin") ? action("Discard", of(name, "/rejects/discard"), { id: row.id }, (done) => `${done.discarded} discarded.`, "This row will never be written. Discard it?") : null)];
  return [title("Rejected rows of " + name), el("p", {}, link("Back to " + name, "pipeline", name)), page.rejects.length || looked ? form : null, actions,
    page.rejects.length ? table("Rejected rows", ["Reason", "Table", "Column", "Key", "Row", "Received", "What to do"], page.rejects.map(one))
      : looked ? empty(el("p", {}, `No open row has “${looked}” in it. `, link("Show all", "rejects", name)))
        : empty(el("p", {}, "No rejected rows are open. Every row that was read is written or filtered by a named rule."))];
}

export async function schema(name, target) {
  const all = (await ask(of(name, "/schema?table=" + encodeURIComponent(target)))).history;
  return [title("Shape of " + target), el("p", {}, link("Back to " + name, "pipeline", name)),
    all.length ? table("Decisions", ["#Version", "Since", "Column", "Change", "Decision", "SQL"], all.map((one) => [count(one.version), when(one.first_seen_at), one.column || "", one.change, one.decision, written(one.sql)]))
      : empty(el("p", {}, "Nothing is on record of this table's shape."))];
}

export async function schedule() {
  const all = (await ask("/pipelines")).pipelines.filter((one) => !one.for_each_of);
  if (!all.length) return [title("Schedule"), empty(el("p", {}, "There are no pipelines yet."))];
  const known = new Set(all.map((one) => one.pipeline));
  const after = (before, path) => {
    const next = all.filter((one) => one.after.includes(before.pipeline) && !path.includes(one.pipeline));
    return next.length ? el("ol", { class: "flow", "aria-label": "after " + before.pipeline }, next.map((one) => item(one, [...path, one.pipeline]))) : null;
  };
  const item = (one, path) => el("li", {}, link(one.pipeline, "pipeline", one.pipeline), " ", state(one.paused ? "paused" : one.state), after(one, path));
  const roots = all.filter((one) => !one.after.some((name) => known.has(name)));
  return [title("Schedule"), el("div", { class: "wide" }, graph(all)), el("ol", { class: "flow narrow" }, roots.map((one) => item(one, [one.pipeline]))),
    table("Times", ["Pipeline", "Schedule", "After", "Next run", "#Open windows", "Waits for"], all.map((one) => [link(one.pipeline, "pipeline", one.pipeline),
      one.schedule ? `${one.schedule} (${one.timezone || "UTC"})` : "", one.after.join(", "), one.paused ? state("paused") : when(one.next_run), one.open_intervals ? count(one.open_intervals) : "", one.waits_for || ""]))];
}

export async function slots() {
  const all = (await ask("/slots")).slots;
  return [title("Replication slots"), all.length ? table("Replication slots", ["Slot", "Connection", "Read by", "#Kept for it", "#Behind", "State", "Lost in", "Concern"], all.map((one) => [
    one.slot, one.connection, one.reader || (one.active ? "process " + one.active_pid : "nobody now"), bytes(one.retained_bytes), bytes(one.lag_bytes), one.wal_status || "",
    lasted(one.seconds_until_lost), one.concern ? el("span", {}, el("strong", {}, one.concern), one.fix ? " What to do: " + one.fix : "") : ""]))
    : empty(el("p", {}, "No source has a replication slot of a pipeline. Pipelines with ", el("code", {}, "changes:"), " make one."))];
}

export async function audit(before) {
  const all = (await ask("/audit?limit=50" + (before ? "&before=" + encodeURIComponent(before) : ""))).audit;
  return [title("Audit log"), all.length ? table("Deeds", ["At", "Who", "Role", "Did", "On", "Asked for", "#Answer"], all.map((one) => [when(one.at), one.actor, one.role, one.action, one.subject, written(one.asked), String(one.status ?? "none")]))
    : empty(el("p", {}, before ? "Nothing is older." : "Nothing was done through this page or the API yet.")),
  all.length === 50 ? el("div", { class: "actions" }, link("Older", "audit", all.at(-1).id)) : null];
}
