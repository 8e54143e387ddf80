// The queue's rows: keyed by alarm, moved only when the order changes, timers ticking in place.

import { byId, capital, h, setText, sign } from "./dom.js";
import { handling, holder, isMine, ordered } from "./store.js";
import { elapsed, fullTime, nowUs } from "./time.js";

const rows = new Map();
let selectedId = null;
let filter = "";
let onOpen = () => {};
let onShown = () => {};

// For benchmarks: when each row was first painted, ms since 1970 by this browser's clock.
window.hearthwatch = { seen: {} };

export function setUp({ open, shown }) {
  onOpen = open;
  onShown = shown;
}

export function select(id) {
  selectedId = id;
  for (const [key, row] of rows) row.setAttribute("aria-current", String(key === id));
  rows.get(id)?.scrollIntoView({ block: "nearest" });
}

export function setFilter(text) {
  filter = text.trim().toLowerCase();
}

// The alarms on screen, in order. A search never hides a life alarm that nobody has.
export function shown() {
  return ordered().filter((alarm) => !filter || (alarm.category === "life" && !holder(alarm)) || words(alarm).includes(filter));
}

const words = (alarm) =>
  [alarm.title, alarm.room, alarm.address, alarm.place, alarm.home_id, alarm.headline].join(" ").toLowerCase();

export function draw() {
  const list = byId("rows");
  const visible = shown();
  const keep = new Set(visible.map((alarm) => alarm.alarm_id));
  for (const [id, row] of rows) {
    if (keep.has(id)) continue;
    row.parentElement.remove();
    rows.delete(id);
  }
  let next = list.firstElementChild;
  for (const alarm of visible) {
    let row = rows.get(alarm.alarm_id);
    if (!row) row = create(alarm);
    fill(row, alarm);
    if (row.parentElement === next) next = next.nextElementSibling;
    else list.insertBefore(row.parentElement, next);
  }
  tick();
}

function create(alarm) {
  const row = h("button", { type: "button", class: "row", "data-alarm-id": alarm.alarm_id });
  row.append(
    h("span", { class: "icon" }, sign(alarm.category)),
    h("span", { class: "what" }), h("span", { class: "time" }), h("span", { class: "at" }),
    h("span", { class: "right" }, h("span", { class: "who" }), h("span", { class: "bar" }, h("i"))));
  row.addEventListener("click", () => onOpen(alarm.alarm_id));
  row.setAttribute("aria-current", String(alarm.alarm_id === selectedId));
  h("li", {}, row);
  rows.set(alarm.alarm_id, row);
  requestAnimationFrame(() => setTimeout(() => {
    if (alarm.alarm_id in window.hearthwatch.seen) return;
    window.hearthwatch.seen[alarm.alarm_id] = performance.timeOrigin + performance.now();
    onShown(alarm.alarm_id);
  }));
  return row;
}

function fill(row, alarm) {
  row.alarm = alarm;
  const big = alarm.category === "life" || alarm.category === "intrusion";
  row.dataset.size = big ? "big" : "small";
  setText(row.querySelector(".what"), alarm.title);
  const address = alarm.address ?? alarm.home_id;
  setText(row.querySelector(".at"), big && alarm.room ? `${capital(alarm.room)} · ${address}` : address);
  row.title = `${alarm.title}, ${alarm.address ?? alarm.home_id}, since ${fullTime(alarm.opened_us)}`;
}

// Once a second: times, bars and holders, which change without any message.
export function tick() {
  for (const row of rows.values()) {
    const alarm = row.alarm;
    const held = holder(alarm);
    const { limitS, share, waiting } = handling(alarm);
    row.className = `row ${row.dataset.size} ${alarm.category} ${held ? "held" : "unheld"} ${isMine(alarm) ? "mine" : ""}`;
    const time = row.querySelector(".time");
    setText(time, elapsed(nowUs() - alarm.opened_us));
    time.classList.toggle("late", waiting && share >= 1);
    const who = row.querySelector(".who");
    setText(who, held ? (isMine(alarm) ? "You" : held.name) : "");
    const bar = row.querySelector(".bar");
    who.hidden = !held;
    bar.hidden = Boolean(held) || !limitS;
    drawBar(bar, share);
  }
}

export function drawBar(bar, share) {
  bar.classList.toggle("near", share >= 0.5 && share < 1);
  bar.classList.toggle("over", share >= 1);
  bar.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
}
