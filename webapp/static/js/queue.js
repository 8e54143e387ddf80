// The queue's rows: keyed by alarm, moved only when the order changes, timers ticking in place.

import { byId, capital, h, setText, sign } from "./dom.js";
import { asksForHelp, handling, holder, isMine, onTest, ordered, setApart } from "./store.js";
import { clockMinutes, elapsed, fullTime, nowUs } from "./time.js";

const CALLED = ["", "2nd called", "supervisor"]; // by the level of escalation
const FILTERS = {
  all: ["All", () => true],
  life: [sign("life", 14), (alarm) => alarm.category === "life"],
  intrusion: [sign("intrusion", 14), (alarm) => alarm.category === "intrusion"],
  trouble: [sign("trouble", 14), (alarm) => alarm.category === "trouble"],
  free: ["Nobody’s", (alarm) => !holder(alarm)],
  mine: ["Mine", isMine],
};

const LEAST_GROUP = 4;
const unfolded = new Set(); // titles of groups
const rows = new Map();
let selectedId = null;
let search = "";
let filter = "all";
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
  draw(); // it stands alone now, and what was selected before may fold again
  for (const [key, row] of rows) row.setAttribute("aria-current", String(key === id));
  rows.get(id)?.scrollIntoView({ block: "nearest" });
}

export function setSearch(text) {
  search = text.trim().toLowerCase();
}

// Buttons above the queue; one is pressed at a time.
export function drawFilters(onChange) {
  const buttons = Object.entries(FILTERS).map(([name, [label]]) => {
    const button = h("button", { type: "button", class: name, "data-filter": name, "aria-pressed": String(name === filter) }, label);
    button.addEventListener("click", () => {
      filter = name;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      onChange();
    });
    return button;
  });
  byId("filters").replaceChildren(...buttons);
}

// The alarms in the list, in order. Neither search nor filter hides a life alarm or a cry for help that nobody has.
export function listed() {
  const wanted = (alarm) => FILTERS[filter][1](alarm) && (!search || text(alarm).includes(search));
  return ordered().filter((alarm) => ((alarm.category === "life" || asksForHelp(alarm)) && !holder(alarm)) || wanted(alarm));
}

// Those with a row of their own: what is folded into a group is left out.
export const shown = () => entries().flatMap((entry) => (entry.alarm ? [entry.alarm] : []));

// A storm brings the same trouble from many homes: troubles of one name that nobody has and that are not on the
// card stand as one row with their count, until somebody unfolds it. Life and intrusion always stand alone.
function entries() {
  const alarms = listed();
  const foldable = (alarm) => alarm.category === "trouble" && !holder(alarm) && !setApart(alarm) && !asksForHelp(alarm) && alarm.alarm_id !== selectedId;
  const groups = Map.groupBy(alarms.filter(foldable), (alarm) => alarm.title);
  for (const [title, members] of groups) if (members.length < LEAST_GROUP) groups.delete(title);
  const found = [];
  for (const alarm of alarms) {
    const members = foldable(alarm) ? groups.get(alarm.title) : undefined;
    if (!members) found.push({ key: alarm.alarm_id, alarm });
    else if (members[0] === alarm) {
      found.push({ key: `group ${alarm.title}`, members });
      if (unfolded.has(alarm.title)) found.push(...members.map((member) => ({ key: member.alarm_id, alarm: member, inside: true })));
    }
  }
  return found;
}

const text = (alarm) =>
  [alarm.title, alarm.room, alarm.address, alarm.place, alarm.home_id, alarm.headline, alarm.case].join(" ").toLowerCase();

export function draw() {
  const list = byId("rows");
  const visible = entries();
  const keep = new Set(visible.map((entry) => entry.key));
  for (const [id, row] of rows) {
    if (keep.has(id)) continue;
    row.parentElement.remove();
    rows.delete(id);
  }
  let next = list.firstElementChild;
  for (const entry of visible) {
    const row = rows.get(entry.key) ?? (entry.alarm ? create(entry.alarm) : createGroup(entry));
    if (entry.alarm) fill(row, entry.alarm);
    else fillGroup(row, entry.members);
    row.parentElement.classList.toggle("inside", Boolean(entry.inside));
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
  notePainted([alarm]);
  return row;
}

function notePainted(alarms) {
  const fresh = alarms.filter((alarm) => !(alarm.alarm_id in window.hearthwatch.seen));
  if (!fresh.length) return;
  requestAnimationFrame(() => setTimeout(() => {
    for (const { alarm_id: id } of fresh) {
      if (id in window.hearthwatch.seen) continue;
      window.hearthwatch.seen[id] = performance.timeOrigin + performance.now();
      onShown(id);
    }
  }));
}

function createGroup({ key, members }) {
  const title = members[0].title;
  const row = h("button", { type: "button", class: `row small group ${members[0].category} unheld`, "data-group": title });
  row.append(h("span", { class: "icon" }, sign(members[0].category)), h("span", { class: "what" }), h("span", { class: "at" }), h("span", { class: "time" }));
  row.addEventListener("click", () => {
    if (!unfolded.delete(title)) unfolded.add(title);
    draw();
  });
  h("li", {}, row);
  rows.set(key, row);
  return row;
}

function fillGroup(row, members) {
  row.members = members;
  const { title } = members[0];
  row.setAttribute("aria-expanded", String(unfolded.has(title)));
  setText(row.querySelector(".what"), `${title} ×${members.length}`);
  setText(row.querySelector(".at"), unfolded.has(title) ? "fold" : "unfold");
  row.title = `${members.length} homes: ${title}, the first since ${fullTime(members[0].opened_us)}`;
  notePainted(members);
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
  let firstApart = false;
  for (const { firstElementChild: row } of byId("rows").children) {
    const alarm = row.alarm;
    if (!alarm) {
      tickGroup(row);
      continue;
    }
    const held = holder(alarm);
    const { limitS, share, waiting } = handling(alarm);
    const apart = setApart(alarm);
    row.className = `row ${row.dataset.size} ${alarm.category} ${held ? "held" : "unheld"} ${isMine(alarm) ? "mine" : ""} ${apart ? "apart" : ""}`;
    row.parentElement.classList.toggle("first-apart", apart && !firstApart);
    firstApart ||= apart;
    const time = row.querySelector(".time");
    setText(time, elapsed(nowUs() - alarm.opened_us));
    time.classList.toggle("late", waiting && !apart && (share >= 1 || alarm.escalation > 0));
    const who = row.querySelector(".who");
    const asked = asksForHelp(alarm) ? "help! " : "";
    const remark = asked + (held ? (isMine(alarm) ? "You" : held.name) : onTest(alarm) ? `test – ${clockMinutes(alarm.on_test_until_us)}` : CALLED[alarm.escalation]);
    setText(who, remark);
    who.classList.toggle("called", Boolean(asked) || (!held && !apart && alarm.escalation > 0));
    const bar = row.querySelector(".bar");
    who.hidden = !remark;
    bar.hidden = Boolean(remark) || !limitS;
    drawBar(bar, share);
  }
}

function tickGroup(row) {
  const time = row.querySelector(".time");
  setText(time, elapsed(nowUs() - row.members[0].opened_us));
  time.classList.toggle("late", row.members.some((alarm) => alarm.escalation > 0));
  row.parentElement.classList.remove("first-apart");
}

export function drawBar(bar, share) {
  bar.classList.toggle("near", share >= 0.5 && share < 1);
  bar.classList.toggle("over", share >= 1);
  bar.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
}
