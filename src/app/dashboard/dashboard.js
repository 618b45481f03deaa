// One page on /api/v1: which view is shown, and when it is asked for again.

import { backup, backups, drill } from "./backups.js";
import { el, explained, patch, title } from "./elements.js";
import { audit, rejects, schedule, schema, slots } from "./places.js";
import { allRuns, pipeline, pipelines, quality, run } from "./runs.js";
import { forget, may, token, told, whoAmI } from "./server.js";

const views = { "": pipelines, pipeline, runs: allRuns, run, quality, rejects, schema, schedule, slots, backups, backup, drill, audit };
// What asks others than the state is not asked again and again, or only now and then (slowly).
const polled = new Set(["", "pipeline", "runs", "run", "schedule", "backups", "backup"]);
// Whoever asks again has luck: a run holds the target, too many ask, something is down.
const passing = new Set([409, 429, 503]);
const pollEvery = 3000, pollRunning = 1000, patience = 400;

const main = document.getElementById("main"), trouble = document.getElementById("trouble");
let timer = 0, shown = null, asked = 0;

function put(where, ...nodes) {
  const made = el("main", {}, ...nodes);
  if (shown === where) patch(main, made);
  else main.replaceChildren(...made.childNodes);
  shown = where;
  document.title = (main.querySelector("h1") || {}).textContent + " · Penstock";
}

function refused(wrong) {
  const had = token.get();
  token.drop();
  forget();
  who(null);
  const field = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const form = el("form", { class: "login", onsubmit: (event) => {
    event.preventDefault();
    token.set(document.getElementById("token").value.trim());
    show();
  } }, el("label", { for: "token" }, "Your token, one of ", el("code", {}, "api.tokens"), " in the configuration"), field, el("button", {}, "Sign in"));
  const why = wrong.error && wrong.error.hint && !had ? "Whoever keeps the configuration gives out tokens." : "That token is not known here.";
  put("login", title("Sign in"), el("p", { role: had ? "alert" : null }, why), form);
  document.getElementById("token").focus();
}

function who(me) {
  document.getElementById("who").textContent = me ? `${me.name}, ${me.role}` : "";
  document.getElementById("leave").hidden = !token.get();
  document.querySelector('nav a[href="#/audit"]').hidden = !may("admin");
}

function failed(wrong, where) {
  const silent = !wrong.status;
  trouble.textContent = silent ? "The server does not answer; what is shown may be old. It is asked again every few seconds." : "";
  trouble.hidden = !silent;
  const heading = { 403: "Not for your role", 404: "Not there", 409: "Busy", 429: "Busy" }[wrong.status] || "That did not work";
  if (!silent) put(where, title(heading), explained(wrong.error || { message: wrong.message }), passing.has(wrong.status) ? el("p", {}, "It is tried again every few seconds.") : null);
  else if (shown !== where) put(where, title("No answer"), el("p", {}, "Nothing can be shown until the server answers."));
}

/// `again`: of what is on the screen already.
async function show(again) {
  clearTimeout(timer);
  const mine = ++asked, where = location.hash, [page, ...rest] = where.replace(/^#\/?/, "").split("/").map(unescaped);
  for (const each of document.querySelectorAll("nav a")) {
    if (each.getAttribute("href") === "#/" + page) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  let tryAgain = false;
  const slow = again ? 0 : setTimeout(() => { if (mine === asked) put("loading", title("Loading…")); }, patience);
  try {
    who(await whoAmI());
    const nodes = await (Object.hasOwn(views, page) ? views[page] : nowhere)(...rest);
    if (mine !== asked) return;
    clearTimeout(slow);
    put(where, nodes);
    trouble.hidden = true;
  } catch (wrong) {
    clearTimeout(slow);
    if (mine !== asked) return;
    if (wrong.status === 401) return refused(wrong);
    failed(wrong, where);
    tryAgain = !wrong.status || passing.has(wrong.status);
  }
  if (!again) main.focus({ preventScroll: true }), scrollTo(0, 0);
  if (polled.has(page) || tryAgain) later(main.querySelector(".running") ? pollRunning : pollEvery);
}
function later(time) { timer = setTimeout(() => document.hidden ? later(pollEvery) : show(true), time); }

function unescaped(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}
const nowhere = () => { throw Object.assign(new Error("There is no such page."), { status: 404, error: { message: "There is no such page.", hint: "take one of those above" } }); };

document.getElementById("leave").onclick = () => { token.drop(); forget(); location.hash = "#/"; show(); };
document.querySelector(".skip").onclick = (event) => { event.preventDefault(); main.focus(); };
addEventListener("hashchange", () => { told(""); show(); });
addEventListener("acted", () => show(true));
show();
