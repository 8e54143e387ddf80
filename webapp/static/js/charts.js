// Small curves of a home's last minutes on one time axis. A gap is drawn as a gap, never bridged.

import { capital, h, setText, svg } from "./dom.js";
import { homeClock as clock, homeMinutes as clockMinutes } from "./time.js";

const HEIGHT = 31;
const PAD = 3;
const NAMES_PX = 172; // as in card.css
const FIRST_SHOWN = 8;
// quantity: words, digits, the least span and bounds of its scale, so that noise does not look like news
const QUANTITIES = {
  co_ppm: ["CO", 0, 30], co2_ppm: ["CO₂", 0, 400], voc_index: ["VOC index", 0, 100],
  temperature_c: ["Temperature", 1, 10], humidity_pct: ["Humidity", 0, 20], pressure_hpa: ["Pressure", 0, 6],
  sound_dba: ["Sound level", 0, 40], pir: ["Motion, waveform", 0, 200], shake_mg: ["Shaking", 0, 60], motion: ["Motion", 0, 1], open: ["Contact", 0, 1],
};
const BINARY = { motion: ["still", "motion"], open: ["closed", "open"] };
export const quantityWords = (name) => QUANTITIES[name]?.[0] ?? name.replaceAll("_", " ");
let showAll = false;
let remove = () => {};

// What moved comes first, what rests is folded away.
// about: {moments, category, room, involved, limits}; involved holds "sensor|quantity" or "sensor|" for
// all of it, limits the bound of "sensor|quantity".
export function drawCharts(container, series, about) {
  const { moments, category, room, limits, spectrograms = [] } = about;
  remove();
  container.replaceChildren();
  container.className = `charts ${category}`;
  if (!series.length) {
    container.append(h("p", { class: "card-note" }, "No curves came with this alarm."));
    return;
  }
  const from = Math.min(...series.map((s) => s.start_us));
  const to = Math.max(...series.map((s) => s.start_us + s.period_us * s.values.length), ...moments);
  const rank = (s) => (limits.has(key(s)) ? 0 : isInvolved(s, about) ? 1 : !moved(s) ? 4 : s.room === room ? 2 : 3);
  const sorted = [...series].sort((a, b) => rank(a) - rank(b) || key(a).localeCompare(key(b)));
  const visible = showAll ? sorted : sorted.slice(0, FIRST_SHOWN);
  const width = Math.max(120, container.clientWidth - 234);
  const charts = visible.map((s) => chart(s, { from, to, width, moments, limit: limits.get(key(s)), involved: isInvolved(s, about) }));
  charts.push(...spectrograms.map((heard) => spectrogram(heard, from, to, width)));
  const axis = drawAxis(from, to, width);
  container.append(...charts.map((c) => c.element), axis);
  hover(container, charts, axis, from, to, width);
  if (series.length > FIRST_SHOWN) {
    const words = showAll ? "Show fewer" : `Show all ${series.length} curves`;
    const button = h("button", { type: "button", class: "more" }, words);
    button.addEventListener("click", () => {
      showAll = !showAll;
      drawCharts(container, series, about);
    });
    container.append(button);
  }
}

const key = (s) => `${s.sensor_id}|${s.quantity}`;
const isInvolved = (s, { involved }) => involved.has(key(s)) || involved.has(`${s.sensor_id}|`);

// More than noise: it used the whole of its least scale.
function moved(s) {
  const known = s.values.filter((v) => v !== null);
  return known.length > 0 && Math.max(...known) - Math.min(...known) >= (QUANTITIES[s.quantity]?.[2] ?? 1);
}

// A contact is called by what it is on, everything else by its room.
function nameOf(s) {
  if (s.quantity === "open" && s.sensor_id.startsWith("contact-")) return capital(s.sensor_id.slice(8).replaceAll("-", " "));
  return `${quantityWords(s.quantity)} · ${s.room || s.sensor_id}`;
}

function chart(s, { from, to, width, moments, limit, involved }) {
  const [, digits, span] = QUANTITIES[s.quantity] ?? ["", 1, 1];
  const binary = BINARY[s.quantity];
  const known = s.values.filter((v) => v !== null);
  const [low, high] = scale(known, span, limit, binary);
  const x = (us) => ((us - from) / (to - from || 1)) * width;
  const y = (v) => HEIGHT - PAD - ((v - low) / (high - low)) * (HEIGHT - 2 * PAD);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const hatch = `hatch-${key(s).replace(/[^\w-]/g, "-")}`;
  drawing.append(svg("pattern", { id: hatch, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 })));
  for (const [start, end] of gaps(s, from, to)) {
    drawing.append(svg("rect", { class: "gap", fill: `url(#${hatch})`, x: x(start), y: 0, width: x(end) - x(start), height: HEIGHT }));
    if (x(end) - x(start) > 46) {
      drawing.append(svg("text", { class: "gap-words", x: (x(start) + x(end)) / 2, y: 19 }, "no data"));
    }
  }
  for (const run of runs(s)) {
    const points = outline(run, s, x, y, binary);
    const last = x(s.start_us + s.period_us * (run.at(-1) + 1));
    drawing.append(
      svg("path", { class: "area", d: `M${x(s.start_us + s.period_us * run[0])} ${y(low)}L${points}L${last} ${y(low)}Z` }),
      svg("path", { class: "line", d: `M${points}` }));
  }
  if (limit !== undefined) drawing.append(svg("line", { class: "limit", x1: 0, x2: width, y1: y(limit), y2: y(limit) }));
  for (const us of moments) drawing.append(svg("line", { class: "moment", x1: x(us), x2: x(us), y1: 0, y2: HEIGHT }));
  const value = h("span", { class: "value" });
  const say = (v) => (v === null || v === undefined ? "no data" : binary ? binary[v >= 0.5 ? 1 : 0] : `${v.toFixed(digits)} ${s.unit === "1" ? "" : s.unit}`);
  const rest = say(s.values.at(-1));
  setText(value, rest);
  const name = nameOf(s);
  const range = known.length ? `from ${say(Math.min(...known))} to ${say(Math.max(...known))}` : "";
  const element = h("div", { class: `chart ${involved || limit !== undefined ? "involved" : ""}`, role: "img" },
    h("span", { class: "name", title: s.sensor_id }, name), drawing, value);
  element.setAttribute("aria-label", `${name}: now ${rest}, ${range}`);
  const at = (us) => say(us === null ? s.values.at(-1) : s.values[Math.floor((us - s.start_us) / s.period_us)]);
  return { element, show: (us) => setText(value, at(us)) };
}

// What was heard, low to high: of each minute the loudest 1.6 s. Grey and dark, as it is no measure.
function spectrogram(heard, from, to, width) {
  const canvas = h("canvas", { width: Math.round(width), height: HEIGHT });
  const brush = canvas.getContext("2d");
  const tone = getComputedStyle(document.documentElement).getPropertyValue("--line");
  const data = Uint8Array.from(atob(heard.data), (letter) => letter.charCodeAt(0));
  const x = (us) => ((us - from) / (to - from || 1)) * width;
  brush.fillStyle = tone;
  for (let column = 0; column < heard.columns; column += 1) {
    const left = x(heard.start_us + column * heard.period_us);
    for (let band = 0; band < heard.bands; band += 1) {
      const loud = data[band * heard.columns + column];
      if (!loud) continue; // no data stays empty
      brush.globalAlpha = loud / 255;
      brush.fillRect(left, HEIGHT - ((band + 1) * HEIGHT) / heard.bands, x(heard.start_us + (column + 1) * heard.period_us) - left + 0.5, HEIGHT / heard.bands);
    }
  }
  const has = (us) => data[Math.floor((us - heard.start_us) / heard.period_us)] > 0;
  const value = h("span", { class: "value" });
  const element = h("div", { class: "chart", role: "img", "aria-label": `Sounds in ${heard.room || heard.sensor_id}, by frequency over time` },
    h("span", { class: "name", title: `${heard.sensor_id}: the loudest 1.6 s of each minute` }, `Spectrum · ${heard.room || heard.sensor_id}`), canvas, value);
  return { element, show: (us) => setText(value, us === null || has(us) ? "" : "no data") };
}

function scale(known, span, limit, binary) {
  if (binary || !known.length) return [0, 1];
  const all = limit === undefined ? known : [...known, limit];
  let low = Math.min(...all);
  let high = Math.max(...all);
  const missing = span - (high - low);
  if (missing > 0) {
    // grow upwards from zero for quantities that rest there
    const below = low >= 0 ? Math.min(low, missing / 2) : missing / 2;
    low -= below;
    high += missing - below;
  }
  return [low, high];
}

// Runs of indices with data.
function runs(s) {
  const found = [];
  s.values.forEach((v, i) => {
    if (v === null) return;
    if (i > 0 && s.values[i - 1] !== null) found.at(-1).push(i);
    else found.push([i]);
  });
  return found;
}

// Stretches of the axis without data: inside the series, and where it does not reach its ends.
function gaps(s, from, to) {
  const edges = [];
  let cursor = from;
  for (const run of runs(s)) {
    const start = s.start_us + s.period_us * run[0];
    if (start - cursor > s.period_us) edges.push([cursor, start]);
    cursor = s.start_us + s.period_us * (run.at(-1) + 1);
  }
  // what comes after the series' end is not missing yet, unless it is long
  if (to - cursor > Math.max(2 * s.period_us, (to - from) / 20)) edges.push([cursor, to]);
  return edges;
}

function outline(run, s, x, y, steps) {
  const points = [];
  for (const i of run) {
    const v = s.values[i];
    const left = x(s.start_us + s.period_us * i).toFixed(1);
    points.push(`${left} ${y(v).toFixed(1)}`);
    if (steps || i === run.at(-1)) points.push(`${x(s.start_us + s.period_us * (i + 1)).toFixed(1)} ${y(v).toFixed(1)}`);
  }
  return points.join("L");
}

function drawAxis(from, to, width) {
  const steps = [15, 30, 60, 120, 300, 600, 900].map((s) => s * 1e6);
  const step = steps.find((us) => (to - from) / us <= Math.max(3, width / 70)) ?? 1800e6;
  const ticks = h("span", { class: "ticks" });
  for (let us = Math.ceil(from / step) * step; us <= to; us += step) {
    const share = (us - from) / (to - from);
    if (share < 0.03 || share > 0.97) continue;
    const tick = h("span", {}, step < 60e6 ? clock(us) : clockMinutes(us));
    tick.style.left = `${share * 100}%`;
    ticks.append(tick);
  }
  return h("div", { class: "axis" }, h("span"), ticks, h("span", { class: "hovered" }));
}

function hover(container, charts, axis, from, to, width) {
  const line = h("div", { class: "hairline", hidden: true });
  container.append(line);
  const leave = () => {
    line.hidden = true;
    setText(axis.lastChild, "");
    charts.forEach((c) => c.show(null));
  };
  const move = (event) => {
    const x = event.clientX - container.getBoundingClientRect().left - NAMES_PX;
    if (x < 0 || x > width) return leave();
    const us = from + (x / width) * (to - from);
    line.hidden = false;
    line.style.left = `${x + NAMES_PX}px`;
    line.style.height = `${charts.length * 32}px`;
    setText(axis.lastChild, clock(us));
    charts.forEach((c) => c.show(us));
  };
  container.addEventListener("pointermove", move);
  container.addEventListener("pointerleave", leave);
  remove = () => {
    container.removeEventListener("pointermove", move);
    container.removeEventListener("pointerleave", leave);
  };
}
