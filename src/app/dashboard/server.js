// Asking /api/v1, as whoever has signed in.

import { el } from "./elements.js";

const tokenName = "penstock-token", roles = ["viewer", "operator", "admin"];
const fresh = 10000;
const looks = new Map();
let me = null, turn = Promise.resolve();

export const token = { get: () => sessionStorage.getItem(tokenName), set: (text) => sessionStorage.setItem(tokenName, text), drop: () => sessionStorage.removeItem(tokenName) };

/// What failed has `status`, and `error` as the server explains it; where nobody answered, neither.
export async function ask(path, method, body) {
  const headers = {};
  if (token.get()) headers.Authorization = "Bearer " + token.get();
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch("/api/v1" + path, { method: method || "GET", headers, body: body ? JSON.stringify(body) : undefined });
  const json = await answer.json();
  if (answer.ok) return json;
  throw Object.assign(new Error(json.error.message), { status: answer.status, error: json.error });
}
export const of = (pipeline, rest) => "/pipelines/" + encodeURIComponent(pipeline) + (rest || "");

export async function whoAmI() {
  me = me || await ask("/me");
  return me;
}
export function forget() { me = null; looks.clear(); }
export const may = (role) => me != null && roles.indexOf(me.role) >= roles.indexOf(role);

/// What a slow place says, without waiting for it: `value` or `error` once it has answered, one question after the other. Whoever still looks
/// at the page then sees it, and it is asked again when it is ten seconds old.
export function slowly(path) {
  if (!looks.has(path)) looks.set(path, {});
  const look = looks.get(path), where = location.hash;
  if (look.asking || Date.now() - look.at < fresh) return look;
  look.asking = true;
  turn = turn.then(async () => {
    if (looks.get(path) !== look) return; // somebody else signs in
    if (location.hash === where) {
      try { look.value = await ask(path); look.error = null; } catch (wrong) { look.value = null; look.error = wrong.error || { message: "The server does not answer." }; }
      look.at = Date.now();
    }
    look.asking = false;
    if (location.hash === where && looks.get(path) === look) dispatchEvent(new Event("acted"));
  });
  return look;
}

export const told = (text) => { document.getElementById("told").textContent = text; };

/// A button that does something once at a time, says what became of it, and has the page shown again. `after` makes words of the answer.
export function action(text, path, body, after, asked) {
  return el("button", { type: "button", onclick: async (event) => {
    const button = event.currentTarget;
    if (button.getAttribute("aria-disabled") || asked && !confirm(asked)) return;
    button.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
    told(text + "…");
    try { told(after(await ask(path, "POST", body))); } catch (wrong) { told(wrong.error ? [wrong.message, wrong.error.hint].filter(Boolean).join(". ") : "The server does not answer: nothing is known of what was asked."); }
    button.removeAttribute("aria-disabled");
    dispatchEvent(new Event("acted"));
  } }, text);
}
