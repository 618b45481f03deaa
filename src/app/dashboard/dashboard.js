"use strict";
// One page on /api/v1. Texts of the project become text nodes and never markup.

const pollEvery = 3000;
const tokenName = "penstock-token";
const main = document.getElementById("main");
let me = null, timer = 0, shown = "", asked = 0;

// -- making elements ---------------------------------------------------------
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child != null && child !== "") made.append(child);
  return made;
}
const link = (text, ...parts) => el("a", { href: "#/" + parts.map(encodeURIComponent).join("/") }, text);
const count = (value) => value == null ? "" : Number(value).toLocaleString("en");
function table(names, rows) {
  const head = el("tr", {}, names.map((name) => el("th", { scope: "col", class: name.startsWith("#") ? "number" : null }, name.replace("#", ""))));
  return el("table", {}, el("thead", {}, head), el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) =>
    el("td", { "data-name": names[i].replace("#", ""), class: names[i].startsWith("#") ? "number" : null }, cell))))));
}
function when(text) {
  if (!text) return "";
  return el("time", { datetime: text, title: text }, text.slice(0, 19).replace("T", " ") + " UTC");
}
function lasted(seconds) {
  if (seconds == null) return "";
  if (seconds < 60) return seconds.toFixed(1) + " s";
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
}
const state = (text) => el("span", { class: "state " + text }, text);
const empty = (...children) => el("div", { class: "empty" }, ...children);
function explained(error) {
  if (!error) return null;
  return el("div", { class: "error" }, el("p", {}, el("strong", {}, error.message)), error.where ? el("p", { class: "dim" }, "at " + error.where) : null,
    error.hint ? el("p", {}, "What to do: " + error.hint) : null, el("p", { class: "dim" }, el("code", {}, error.code || "")));
}

// -- asking ------------------------------------------------------------------
async function ask(path, method, body) {
  const headers = {}, token = sessionStorage.getItem(tokenName);
  if (token) headers.Authorization = "Bearer " + token;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch("/api/v1" + path, { method: method || "GET", headers, body: body ? JSON.stringify(body) : undefined });
  const json = await answer.json();
  if (answer.ok) return json;
  throw Object.assign(new Error(json.error.message), { status: answer.status, error: json.error });
}
const may = (role) => me && ["viewer", "operator", "admin"].indexOf(me.role) >= ["viewer", "operator", "admin"].indexOf(role);
const told = (text) => { document.getElementById("told").textContent = text; };

function action(text, path, body, after) {
  return el("button", { type: "button", onclick: async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    told(text + "…");
    try { told(after(await ask(path, "POST", body))); } catch (wrong) { told(wrong.message + (wrong.error && wrong.error.hint ? " " + wrong.error.hint : "")); }
    button.disabled = false;
    show(true);
  } }, text);
}

// -- pages -------------------------------------------------------------------
const runRow = (run) => [link(when(run.started_at) || run.run_id, "run", run.run_id), state(run.status), run.origin, lasted(run.duration_seconds),
  count(run.rows_read), count(run.rows_written), count(run.rows_rejected), count(run.rows_filtered), run.error ? run.error.message : ""];
const runNames = ["Started", "Status", "Began by", "#Took", "#Read", "#Written", "#Rejected", "#Filtered", "Error"];

async function pipelines() {
  const all = (await ask("/pipelines")).pipelines;
  const title = el("h1", {}, "Pipelines");
  if (!all.length) return [title, empty(el("p", {}, "There are no pipelines yet. "), el("p", {}, "Write one in penstock.yaml (", el("code", {}, "penstock init"), " helps) and start the server again."))];
  return [title, table(["Pipeline", "State", "Last run", "#Written", "#Lag", "#Open rejects", "Next run", "Remark"], all.map((one) => [
    link(one.pipeline, "pipeline", one.pipeline), state(one.paused ? "paused" : one.state), one.last_run ? link(when(one.last_run.started_at), "run", one.last_run.run_id) : "",
    one.last_run ? count(one.last_run.rows_written) : "", lasted(one.lag_seconds), one.open_rejects ? link(count(one.open_rejects), "rejects", one.pipeline) : "",
    one.paused ? "" : when(one.next_run), one.last_run && one.last_run.error ? one.last_run.error.message : one.waits_for ? "waits: " + one.waits_for : ""]))];
}

async function pipeline(name) {
  const path = "/pipelines/" + encodeURIComponent(name);
  const [one, runs] = await Promise.all([ask(path), ask("/runs?limit=50&pipeline=" + encodeURIComponent(name))]);
  const actions = el("div", { class: "actions" });
  if (may("operator") && !one.for_each_of) {
    actions.append(action("Run now", path + "/run", null, () => "It runs as soon as a worker is free."));
    actions.append(one.paused ? action("Resume", path + "/resume", null, () => name + " goes on.") : action("Pause", path + "/pause", null, () => name + " is paused."));
  }
  if (may("operator")) actions.append(link("Rejected rows", "rejects", name));
  return [el("h1", {}, name), el("dl", {},
    el("dt", {}, "State"), el("dd", {}, state(one.paused ? "paused" : one.state)),
    el("dt", {}, "From, to"), el("dd", {}, `${one.source} → ${one.target}`),
    el("dt", {}, "Schedule"), el("dd", {}, one.schedule ? `${one.schedule} (${one.timezone || "UTC"})` : one.after.length ? "after " + one.after.join(", ") : "none"),
    el("dt", {}, "Next run"), el("dd", {}, one.paused ? "none while it is paused" : when(one.next_run) || "none"),
    one.waits_for ? [el("dt", {}, "Waits"), el("dd", {}, one.waits_for)] : [],
    el("dt", {}, "Lag"), el("dd", {}, lasted(one.lag_seconds) || "not known"),
    el("dt", {}, "Open rejects"), el("dd", {}, count(one.open_rejects || 0))), actions,
  one.last_run ? explained(one.last_run.error) : null, el("h2", {}, "Runs"),
  runs.runs.length ? table(runNames, runs.runs.map(runRow)) : empty(el("p", {}, "It has not run yet."))];
}

async function allRuns() {
  const all = (await ask("/runs?limit=100")).runs;
  return [el("h1", {}, "Runs"), all.length ? table(["Pipeline", ...runNames], all.map((run) => [link(run.pipeline, "pipeline", run.pipeline), ...runRow(run)]))
    : empty(el("p", {}, "Nothing has run yet. What runs by schedule, by hand or by cron shows up here."))];
}

async function run(id) {
  const one = await ask("/runs/" + encodeURIComponent(id));
  const checks = one.tables.flatMap((of) => of.checks.map((check) => [of.table, check.check, check.success ? state("success") : state("failed"), check.on_fail, count(check.unexpected_count), count(check.element_count)]));
  return [el("h1", {}, `${one.pipeline}: run ${one.run_id}`), el("dl", {},
    el("dt", {}, "Pipeline"), el("dd", {}, link(one.pipeline, "pipeline", one.pipeline)),
    el("dt", {}, "Status"), el("dd", {}, state(one.status)),
    el("dt", {}, "Started"), el("dd", {}, when(one.started_at)),
    el("dt", {}, "Took"), el("dd", {}, `${lasted(one.duration_seconds)}, ${one.attempts} ${one.attempts === 1 ? "try" : "tries"}`),
    el("dt", {}, "Began by"), el("dd", {}, one.origin),
    one.window ? [el("dt", {}, "Window"), el("dd", {}, when(one.window.start), " to ", when(one.window.end))] : [],
    one.cost_usd ? [el("dt", {}, "Cost"), el("dd", {}, one.cost_usd + " USD")] : []),
  explained(one.error), el("h2", {}, "Rows"),
  el("p", {}, `${count(one.rows_read)} read = ${count(one.rows_written)} written + ${count(one.rows_rejected)} rejected + ${count(one.rows_filtered)} filtered`),
  one.tables.length ? table(["Table", "Target", "#Read", "#Written", "#Rejected", "#Filtered", "#Took"], one.tables.map((of) => [of.table, of.target,
    count(of.rows_read), count(of.rows_written), count(of.rows_rejected), count(of.rows_filtered), lasted(of.duration_seconds)])) : empty(el("p", {}, one.status === "running" ? "Counts come when it ends." : "No table was read.")),
  checks.length ? [el("h2", {}, "Checks"), table(["Table", "Check", "Result", "When it fails", "#Unexpected", "#Of"], checks)] : []];
}

async function rejects(name, offset) {
  const from = Number(offset || 0), path = "/pipelines/" + encodeURIComponent(name) + "/rejects";
  const page = await ask(`${path}?limit=50&offset=${from}`);
  const actions = el("div", { class: "actions" });
  if (page.rejects.length) actions.append(action("Read them again", path + "/replay", {}, (done) =>
    (done.runs || []).map((one) => `${count(one.rows_written)} written, ${count(one.rows_rejected)} still rejected`).join("; ") || "Nothing was open."));
  if (from) actions.append(link("Earlier page", "rejects", name, Math.max(0, from - 50)));
  if (page.more) actions.append(link("Next page", "rejects", name, from + 50));
  const text = (value) => value == null ? "" : el("pre", {}, typeof value === "string" ? value : JSON.stringify(value));
  return [el("h1", {}, "Rejected rows of " + name), el("p", {}, link("Back to " + name, "pipeline", name)), actions,
    page.rejects.length ? table(["Reason", "Table", "Column", "Key", "Row", "Received"], page.rejects.map((one) => [el("span", {}, one.reason, " ", el("code", { class: "dim" }, one.code)),
      one.table, one.column || "", text(one.key), text(one.payload), when(one.received_at)])) : empty(el("p", {}, "No rejected rows are open. Every row that was read is written or filtered by a named rule."))];
}

async function schedule() {
  const all = (await ask("/pipelines")).pipelines.filter((one) => !one.for_each_of);
  const known = new Set(all.map((one) => one.pipeline));
  const item = (one, path) => el("li", {}, link(one.pipeline, "pipeline", one.pipeline), " ", state(one.paused ? "paused" : one.state), " ",
    el("span", { class: "dim" }, one.schedule ? `${one.schedule} (${one.timezone || "UTC"})` : "", one.next_run && !one.paused ? " next " : "", one.next_run && !one.paused ? when(one.next_run) : ""),
    one.waits_for ? el("div", { class: "dim" }, "waits: " + one.waits_for) : null, below(one, path));
  const below = (before, path) => {
    const next = all.filter((one) => one.after.includes(before.pipeline) && !path.includes(one.pipeline));
    return next.length ? el("ol", { class: "flow", "aria-label": "after " + before.pipeline }, next.map((one) => item(one, [...path, one.pipeline]))) : null;
  };
  const roots = all.filter((one) => !one.after.some((name) => known.has(name)));
  return [el("h1", {}, "Schedule"), el("p", { class: "dim" }, "What stands below a pipeline waits for it."),
    roots.length ? el("ol", { class: "flow" }, roots.map((one) => item(one, [one.pipeline]))) : empty(el("p", {}, "There are no pipelines yet."))];
}

function login(why) {
  const field = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  return [el("h1", {}, "Sign in"), el("p", {}, why), el("form", { onsubmit: (event) => {
    event.preventDefault();
    sessionStorage.setItem(tokenName, field.value.trim());
    start();
  } }, el("label", { for: "token" }, "Your token, from ", el("code", {}, "api.tokens"), " of the configuration"), field, el("button", {}, "Sign in"))];
}

// -- showing -----------------------------------------------------------------
const pages = { "": pipelines, pipeline, runs: allRuns, run, rejects, schedule };
// What asks targets is not asked again and again.
const polled = new Set(["", "pipeline", "runs", "run", "schedule"]);

function put(nodes) {
  const made = el("div", {}, nodes.flat(3));
  const content = made.innerHTML;
  if (content === shown) return;
  const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement : null;
  const where = focused ? [...main.querySelectorAll("a, button, input")].indexOf(focused) : -1;
  shown = content;
  main.replaceChildren(...made.childNodes);
  if (where >= 0) { const same = main.querySelectorAll("a, button, input")[where]; if (same) same.focus(); }
}

async function show(again) {
  clearTimeout(timer);
  const mine = ++asked, [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const trouble = document.getElementById("trouble");
  for (const each of document.querySelectorAll("nav a")) each.toggleAttribute("aria-current", each.getAttribute("href") === "#/" + page);
  try {
    const nodes = await (pages[page] || pipelines)(...rest);
    if (mine !== asked) return;
    put(nodes);
    trouble.hidden = true;
    document.title = (main.querySelector("h1") || {}).textContent + " · Penstock";
  } catch (wrong) {
    if (mine !== asked) return;
    if (wrong.status === 401) return refused();
    const silent = !wrong.status;
    trouble.textContent = silent ? "The server does not answer; what is shown may be old. It is asked again every few seconds." : "";
    trouble.hidden = !silent;
    if (!silent) put([el("h1", {}, wrong.status === 404 ? "Not there" : wrong.status === 403 ? "Not for your role" : "That did not work"), explained(wrong.error || { message: wrong.message })]);
  }
  if (!again) main.focus({ preventScroll: true });
  if (polled.has(page) || !trouble.hidden) timer = setTimeout(() => document.hidden ? later() : show(true), pollEvery);
}
function later() { timer = setTimeout(() => document.hidden ? later() : show(true), pollEvery); }

function refused() {
  const had = sessionStorage.getItem(tokenName);
  sessionStorage.removeItem(tokenName);
  me = null;
  document.getElementById("who").textContent = "";
  document.getElementById("leave").hidden = true;
  put(login(had ? "That token is not known here." : "Whoever keeps the configuration gives out tokens."));
  const field = document.getElementById("token");
  if (field) field.focus();
}

async function start() {
  try {
    me = await ask("/me");
    document.getElementById("who").textContent = `${me.name}, ${me.role}`;
    document.getElementById("leave").hidden = !sessionStorage.getItem(tokenName);
  } catch (wrong) {
    if (wrong.status === 401) return refused();
  }
  show(false);
}

document.getElementById("leave").addEventListener("click", () => { sessionStorage.removeItem(tokenName); start(); });
window.addEventListener("hashchange", () => { told(""); show(false); });
start();
