// Making elements. Texts of the project become text nodes and never markup.

const svgSpace = "http://www.w3.org/2000/svg";

function build(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made[key] = value;
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child != null && child !== "") made.append(child);
  return made;
}
export const el = (name, attributes, ...children) => build(document.createElement(name), attributes, children);
export const draw = (name, attributes, ...children) => build(document.createElementNS(svgSpace, name), attributes, children);

export const address = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");
export const link = (text, ...parts) => el("a", { href: address(...parts) }, text);
export const count = (value) => value == null ? "" : Number(value).toLocaleString("en");
export const state = (text) => el("span", { class: "state " + text.replace(" ", "-") }, text);
export const empty = (...children) => el("div", { class: "empty" }, children);
export const title = (...children) => el("h1", { id: "title" }, children);

/// `names` that begin with # are of numbers. A cell is a text, an element or a list of them.
export function table(label, names, rows) {
  const bare = names.map((name) => name.replace("#", "")), kind = names.map((name) => name.startsWith("#") ? "number" : null);
  return el("table", { "aria-label": label },
    el("thead", {}, el("tr", {}, bare.map((name, i) => el("th", { scope: "col", class: kind[i] }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => el("td", { "data-name": bare[i], class: kind[i] }, cell))))));
}

/// Of [name, value]; what has no value is left out.
export const facts = (pairs) => el("dl", {}, pairs.filter(([, value]) => value != null && value !== "").map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

export function when(text) {
  return text ? el("time", { datetime: text, title: text }, text.slice(0, 19).replace("T", " ") + " UTC") : "";
}
export function lasted(seconds) {
  if (seconds == null) return "";
  if (seconds < 60) return seconds.toFixed(1) + " s";
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
}
export function bytes(value) {
  if (value == null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) value /= 1024, ++at;
  return (at ? value.toFixed(1) : value) + " " + units[at];
}
export const written = (value) => value == null ? "" : el("code", {}, typeof value === "string" ? value : JSON.stringify(value));

export function explained(error) {
  if (!error) return null;
  return el("div", { class: "error" }, el("p", {}, el("strong", {}, error.message)), error.where ? el("p", {}, "Where: ", el("code", {}, error.where)) : null,
    error.hint ? el("p", {}, "What to do: " + error.hint) : null, error.code ? el("p", { class: "dim" }, "Code: ", el("code", {}, error.code)) : null);
}

/// Makes `old` show what `made` does and keeps its elements where it can, and so focus, selection and what was typed.
export function patch(old, made) {
  const before = [...old.childNodes], after = [...made.childNodes];
  after.forEach((next, i) => {
    const current = before[i];
    if (!current) old.append(next);
    else if (current.nodeName !== next.nodeName || current.id !== next.id) current.replaceWith(next);
    else if (next.nodeType === Node.TEXT_NODE) { if (current.data !== next.data) current.data = next.data; } else {
      for (const { name } of [...current.attributes]) if (!next.hasAttribute(name)) current.removeAttribute(name);
      for (const { name, value } of next.attributes) if (current.getAttribute(name) !== value) current.setAttribute(name, value);
      for (const name of ["onclick", "onsubmit"]) current[name] = next[name];
      patch(current, next);
    }
  });
  before.slice(after.length).forEach((gone) => gone.remove());
}
