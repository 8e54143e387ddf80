// Draws what is known. Text is always text (dom.js); what did not change is left alone.

import { byId, h, setText } from "/static/js/dom.js";
import * as story from "./story.js";
import { ago, degrees, has, t, time } from "./words.js";

const FRESH_US = 180e6; // younger than that is "live": the note above says so once
let nowUs = 0;
export const setNow = (us) => { nowUs = us; };

export const where = (room) => (room ? (has(`room.${room}.in`) ? t(`room.${room}.in`) : t("room.other.in", { room })) : "");
export const roomName = (room) => (room ? (has(`room.${room}`) ? t(`room.${room}`) : room) : t("room.none"));
export const what = ({ code, kind }) => (has(`what.${code}`) ? t(`what.${code}`) : t(`kind.${kind}`));

// A sentence of story.js → words.
export function say([key, parts = {}]) {
  const { alarm, at, since, code, room, outcome, service, temperature, ...rest } = parts;
  return t(key, {
    ...rest,
    ...(alarm && { what: what(alarm), where: where(alarm.room) }),
    ...(code && { what: t(`what.${code}`), where: where(room) }),
    ...(at && { time: time(at, nowUs) }),
    ...(since && { ago: ago(since, nowUs) }),
    ...("outcome" in parts && { outcome: t(`outcome.${outcome ?? "unknown"}`) }),
    ...(service && { service: t(`service.${service}`) }),
    ...(temperature !== undefined && { temperature: degrees(temperature) }),
  });
}

export function drawHead(told, { connected, asOfUs, waiting }) {
  const head = byId("head");
  if (told.tone === "alarm" && head.dataset.tone !== "alarm") scrollTo({ top: 0 }); // whoever reads below must see it
  head.dataset.tone = told.tone;
  if (connected) delete head.dataset.stale;
  else head.dataset.stale = "";
  byId("age").hidden = connected;
  setText(byId("age"), connected ? "" : t(waiting ? "head.connecting" : "head.offline", { time: time(asOfUs, nowUs) }));
  setText(byId("head-words"), say(told.head));
  const more = told.more ? ` ${t("head.more", { count: told.more })}` : "";
  setText(byId("sub-words"), say(told.sub) + more);
}

// Open alarms as cards; `onSay` is called with (alarm, kind).
export function drawNow(alarms, onSay) {
  byId("now").hidden = !alarms.length;
  const cards = new Map([...byId("now-alarms").children].map((card) => [card.dataset.alarm, card]));
  const drawn = alarms.map((alarm) => {
    const state = JSON.stringify([alarm, document.documentElement.lang, Math.floor(nowUs / 864e8)]);
    const known = cards.get(alarm.alarm_id);
    return known?.dataset.state === state ? known : drawCard(alarm, onSay, state);
  });
  if (drawn.some((card, i) => byId("now-alarms").children[i] !== card) || cards.size !== drawn.length) byId("now-alarms").replaceChildren(...drawn);
}

function drawCard(alarm, onSay, state) {
  const sayable = story.sayable(alarm);
  const card = h("article", { class: "card" },
    h("h3", {}, `${what(alarm)} ${where(alarm.room)}`.trim()),
    h("p", { class: "stage" }, say(story.stage(alarm))),
    h("ol", { class: "steps" }, ...story.steps(alarm).map(([us, sentence]) =>
      h("li", {}, h("time", {}, us ? time(us, nowUs) : "…"), h("span", {}, say(sentence))))),
    sayable.length ? h("div", { class: "say" }, ...sayable.map((kind) => {
      const button = h("button", { type: "button", class: kind === "help" ? "danger" : "", "data-say": kind }, t(`say.${kind}`));
      button.addEventListener("click", () => onSay(alarm, kind));
      return button;
    })) : null);
  card.dataset.alarm = alarm.alarm_id;
  card.dataset.state = state;
  return card;
}

export function drawRooms({ home, live, told }, { connected }, onSensor) {
  const found = story.rooms(home);
  const note = !found.length ? "rooms.none" : !connected ? "rooms.last" : story.isLive(live, nowUs) ? "rooms.live" : "rooms.asking";
  setText(byId("rooms-note"), t(note));
  byId("rooms").classList.toggle("stale", !connected);
  const sections = found.map(([room, sensors]) =>
    h("section", { class: "room" }, h("h3", {}, roomName(room)),
      h("ul", { class: "list" }, ...sensors.map((sensor) => h("li", {}, drawSensor(sensor, story.sensorState(sensor, live, told), onSensor))))));
  const text = sections.map((section) => section.textContent).join("\n");
  if (byId("rooms").dataset.text === text) return; // nothing to read anew
  byId("rooms").dataset.text = text;
  const focused = document.activeElement?.dataset.sensor;
  byId("rooms").replaceChildren(...sections);
  if (focused) byId("rooms").querySelector(`[data-sensor="${CSS.escape(focused)}"]`)?.focus();
}

function drawSensor(sensor, state, onSensor) {
  const seen = [state.low ? t("battery.low", { percent: sensor.battery_percent }) : null, state.heardUs && nowUs - state.heardUs > FRESH_US ? ago(state.heardUs, nowUs) : null].filter(Boolean);
  const row = h("button", { type: "button", class: "row", "data-sensor": sensor.id },
    h("span", { class: "what" }, t(story.sensorName(sensor))),
    h("span", { class: state.fault ? "state bad" : "state" }, say(state.words)),
    seen.length ? h("span", { class: state.low ? "seen bad" : "seen" }, seen.join(" · ")) : null);
  row.addEventListener("click", () => onSensor(sensor, state));
  return row;
}

export function drawWorks(rows) {
  byId("works").replaceChildren(...rows.map(([subject, sentence, fine]) =>
    h("li", {}, h("span", { class: "what" }, t(subject)), h("span", { class: fine ? "state works-good" : "state works-bad" }, say(sentence)))));
}

export function drawPast(alarms) {
  const rows = alarms.slice(0, 10).map((alarm) => h("li", {},
    h("span", { class: "what" }, `${what(alarm)} ${where(alarm.room)}`.trim()),
    h("span", { class: "more" }, `${time(alarm.occurred_us, nowUs)} · ${t(`outcome.${alarm.close_out ?? "unknown"}`)}`)));
  byId("past").replaceChildren(...(rows.length ? rows : [h("li", {}, t("alarms.none"))]));
}

