// Whom to call, in order, and how each call ended. The order never changes; the next one is marked.

import { byId, h, setText, words } from "./dom.js";
import { settings } from "./store.js";
import { homeClock as clock } from "./time.js";

const OUTCOMES = ["reached", "no_answer", "busy", "wrong_number"];
const COPIED = " · number copied";
let active = null; // the contact being called
let copied = null; // the contact whose number is in the clipboard
let drawn = "";
let onOutcome = () => {};

export function setUp(report) {
  onOutcome = report;
}

export function reset() {
  active = copied = null;
  drawn = "";
}

export function draw(alarm, home, mine) {
  const state = JSON.stringify([alarm.alarm_id, alarm.calls, home, mine, active]);
  if (state === drawn) return;
  drawn = state;
  const phones = home?.phones ?? [];
  byId("phones").replaceChildren(...phones.map((_, i) => contact(alarm, home, i, mine)));
  if (home && !phones.length) byId("phones").append(h("li", { class: "none" }, "No phone on file"));
}

function contact(alarm, home, i, mine) {
  const [phone, name] = [home.phones[i], home.contacts[i] ?? ""];
  const last = alarm.calls.filter((call) => call.contact === i).at(-1);
  const dial = phone.replace(/[^+\d]/g, "");
  const number = settings.softphone
    ? h("a", { class: "number", href: `tel:${dial}`, "data-contact": String(i) }, phone)
    : h("button", { class: "number", type: "button", title: "Copy", "data-contact": String(i) }, phone);
  number.addEventListener("click", () => {
    if (!settings.softphone) copy(dial, i);
    if (!mine || i === active) return;
    active = i;
    setTimeout(() => draw(alarm, home, mine)); // after the browser has followed the link
  });
  const item = h("li", { class: i === active ? "active" : "" },
    h("span", { class: "order" }, String(i + 1)),
    number,
    h("span", { class: "person" }, name, h("span", { class: "copied" }, i === copied ? COPIED : ""), last ? h("b", {}, ` ${words(last.outcome)} ${clock(last.at_us)}`) : ""));
  if (mine && i === active) {
    item.append(h("div", { class: "outcomes", role: "group", "aria-label": `How the call to ${phone} ended` },
      ...OUTCOMES.map((outcome) => {
        const button = h("button", { type: "button", "data-outcome": outcome }, words(outcome));
        button.addEventListener("click", () => onOutcome(i, outcome, button));
        return button;
      })));
  }
  return item;
}

// Says so only when it is true: a browser may refuse. Nothing is drawn anew, so the focus stays.
async function copy(dial, i) {
  copied = await navigator.clipboard.writeText(dial).then(() => i, () => null);
  byId("phones").querySelectorAll(".copied").forEach((mark, at) => setText(mark, at === copied ? COPIED : ""));
}

// Call the next in order: the first never called, else the one after the last call.
export function callNext(alarm, home) {
  const count = home?.phones.length ?? 0;
  if (!count) return false;
  const tried = new Set(alarm.calls.map((call) => call.contact));
  const fresh = [...Array(count).keys()].find((i) => !tried.has(i));
  active = fresh ?? (alarm.calls.at(-1).contact + 1) % count;
  draw(alarm, home, true);
  byId("phones").querySelector(`[data-contact="${active}"]`).click();
  byId("phones").querySelector("[data-outcome]").focus();
  return true;
}
