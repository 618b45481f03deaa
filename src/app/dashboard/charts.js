// Pictures of what is written beside them too: each is one image to a screen reader, with a sentence that says what it shows.

import { address, count, draw, el, lasted } from "./elements.js";

const tall = 64, step = 12;

/// Bars from left to right: {height, kind, text}. Heights from 0; what failed has a mark too, for whoever does not see its colour. `goal`: a line
/// that none should be above.
function bars(label, all, goal) {
  const most = Math.max(...all.map((one) => one.height), goal || 0, 1e-9), wide = Math.max(all.length * step, 240);
  return draw("svg", { class: "chart", role: "img", "aria-label": label, viewBox: `0 0 ${wide} ${tall + 12}`, width: wide, height: tall + 12 },
    draw("line", { class: "base", x1: 0, x2: wide, y1: tall + 11.5, y2: tall + 11.5 }),
    goal ? draw("line", { class: "goal", x1: 0, x2: wide, y1: tall + 11 - goal / most * tall, y2: tall + 11 - goal / most * tall }) : null,
    all.map((one, i) => {
      const height = Math.max(2, one.height / most * tall);
      return draw("g", { class: "bar " + one.kind }, draw("title", {}, one.text), draw("rect", { x: i * step + 1, y: tall + 11 - height, width: step - 2, height }),
        one.kind === "failed" ? draw("path", { d: `M${i * step + 3} ${tall + 3 - height}l6 6m0 -6l-6 6` }) : null);
    }));
}

/// Runs as the API lists them, the newest first.
export function runBars(runs) {
  const ended = [...runs].reverse(), failed = ended.filter((one) => one.status === "failed").length;
  const times = ended.map((one) => one.duration_seconds);
  return bars(`The last ${ended.length} runs: ${failed ? failed + " failed" : "none failed"}; they took ${lasted(Math.min(...times))} to ${lasted(Math.max(...times))}.`,
    ended.map((one) => ({ height: one.duration_seconds, kind: one.status, text: `${one.started_at}: ${one.status}, ${lasted(one.duration_seconds)}` })));
}

/// {at, share, success} of one check, the oldest first.
export function shareBars(name, all) {
  const failed = all.filter((one) => !one.success).length;
  return bars(`${name}: ${failed ? failed + " of " + all.length + " runs failed it" : "passed by all of " + all.length + " runs"}; the share of unexpected rows in each.`,
    all.map((one) => ({ height: one.share, kind: one.success ? "success" : "failed", text: `${one.at}: ${(one.share * 100).toFixed(2)}% unexpected` })));
}

/// {at, passed, seconds} of each drill, the oldest first; `seconds` null: not measured.
export function goalBars(name, goal, all) {
  const within = all.filter((one) => one.seconds != null && (goal == null || one.seconds <= goal)).length, newest = all.at(-1);
  const counted = goal == null ? "no goal is set" : `the goal, ${lasted(goal)}, was met by ${within}`;
  const said = `${name} of the last ${all.length} drills: ${counted}; the newest: ${newest.seconds == null ? "not measured" : lasted(newest.seconds)}.`;
  return [bars(said, all.map((one) => ({ height: one.seconds || 0, kind: one.passed && one.seconds != null && (goal == null || one.seconds <= goal) ? "success" : "failed",
    text: `${one.at}: ${one.seconds == null ? "not measured" : lasted(one.seconds)}, ${one.passed ? "passed" : "failed"}` })), goal), el("p", { class: "dim caption", "aria-hidden": "true" }, said)];
}

/// {name, begin_seconds, seconds}, one below the other on one scale.
export function phaseBars(all) {
  const end = Math.max(...all.map((one) => one.begin_seconds + one.seconds), 1e-3), high = 22, left = 90, wide = 420;
  return draw("svg", { class: "chart", role: "img", "aria-label": "How long each phase took: " + all.map((one) => `${one.name} ${lasted(one.seconds)}`).join(", ") + ".", viewBox: `0 0 ${left + wide + 90} ${all.length * high}`, width: left + wide + 90 },
    all.map((one, i) => {
      const x = left + one.begin_seconds / end * wide, width = Math.max(2, one.seconds / end * wide);
      return [draw("text", { class: "label", x: 0, y: i * high + 15 }, one.name), draw("rect", { class: "bar", x, y: i * high + 4, width, height: high - 8 }), draw("text", { class: "label", x: x + width + 6, y: i * high + 15 }, lasted(one.seconds))];
    }));
}

/// read = written + rejected + filtered, as one bar.
export function rowsBar(one) {
  let at = 0;
  const parts = ["written", "rejected", "filtered"].map((kind) => {
    const share = one["rows_" + kind] / one.rows_read * 100, part = draw("rect", { class: kind, x: at, y: 0, width: share, height: 10 }, draw("title", {}, `${count(one["rows_" + kind])} ${kind}`));
    at += share;
    return part;
  });
  return draw("svg", { class: "rows", role: "img", "aria-label": "The shares of rows that were written, rejected and filtered.", viewBox: "0 0 100 10", preserveAspectRatio: "none" }, parts);
}

/// What waits for what, from left to right. Boxes are links.
export function graph(all) {
  const byName = new Map(all.map((one) => [one.pipeline, one])), depths = new Map();
  const depth = (one, path) => {
    if (depths.has(one.pipeline)) return depths.get(one.pipeline);
    const before = one.after.filter((name) => byName.has(name) && !path.includes(name)).map((name) => depth(byName.get(name), [...path, name]));
    depths.set(one.pipeline, before.length ? Math.max(...before) + 1 : 0);
    return depths.get(one.pipeline);
  };
  const columns = [], places = new Map(), wide = 190, high = 46, apart = 50;
  all.forEach((one) => (columns[depth(one, [one.pipeline])] ||= []).push(one));
  columns.forEach((column, x) => column.forEach((one, y) => places.set(one.pipeline, { x: x * (wide + apart) + 4, y: y * (high + 14) + 4 })));
  const width = columns.length * (wide + apart) - apart + 8, height = Math.max(...columns.map((column) => column.length)) * (high + 14) - 6;
  const short = (name) => name.length > 22 ? name.slice(0, 21) + "…" : name;
  const lines = all.flatMap((one) => one.after.filter((name) => byName.has(name)).map((name) => {
    const from = places.get(name), to = places.get(one.pipeline), y1 = from.y + high / 2, y2 = to.y + high / 2, x1 = from.x + wide, middle = x1 + apart / 2;
    return draw("path", { class: "edge", d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${to.x - 2} ${y2}m-6 -4l6 4l-6 4` });
  }));
  const boxes = all.map((one) => {
    const { x, y } = places.get(one.pipeline), now = one.paused ? "paused" : one.state;
    return draw("a", { href: address("pipeline", one.pipeline) }, draw("title", {}, `${one.pipeline} ${now}${one.after.length ? ", after " + one.after.join(", ") : ""}`),
      draw("rect", { class: "box " + now.replace(" ", "-"), x, y, width: wide, height: high, rx: 6 }), draw("text", { class: "name", x: x + 10, y: y + 19 }, short(one.pipeline)),
      draw("text", { class: now.replace(" ", "-"), x: x + 10, y: y + 37 }, now));
  });
  return draw("svg", { class: "graph", role: "group", "aria-label": "What waits for what", viewBox: `0 0 ${width} ${height + 8}`, width }, lines, boxes);
}
