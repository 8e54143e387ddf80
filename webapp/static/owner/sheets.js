// What opens over the page: the owner's word, a sensor's last day, settings.

import { byId, h, setText, svg } from "/static/js/dom.js";
import * as cloud from "./cloud.js";
import * as push from "./push.js";
import * as story from "./story.js";
import { chosen, degrees, number, t, time } from "./words.js";
import { roomName, say, what, where } from "./view.js";

const DAY_US = 864e8;
const GAP_US = 5 * 60e6;
const FIRE = ["fire", "co", "gas"];

function open(...content) {
  const sheet = byId("sheet");
  sheet.replaceChildren(...content.filter(Boolean));
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
}

export const shut = () => byId("sheet").close();

function closer(words = t("close")) {
  const button = h("button", { type: "button" }, words);
  button.addEventListener("click", shut);
  return button;
}

// Reading begins here, and no keyboard of a phone opens by itself.
const title = (words) => h("h2", { id: "sheet-title", tabIndex: -1, autofocus: true }, words);

// -- the owner's word ------------------------------------------------------------------------

export function ask(alarm, kind, { home, user, connected, noteChars }) {
  const note = h("textarea", { rows: 2, maxLength: noteChars, id: "say-note" });
  const outcome = h("p", { class: "outcome", role: "alert" });
  const yes = h("button", { type: "button", class: kind === "help" ? "danger" : "main", id: "say-yes" }, t(`say.${kind}.yes`));
  const explained = kind === "it_was_me" && FIRE.includes(alarm.kind) ? "say.it_was_me.fire" : `say.${kind}.text`;
  yes.addEventListener("click", async () => {
    if (!connected()) return setText(outcome, t("say.offline"));
    yes.disabled = true;
    setText(yes, t("say.busy"));
    try {
      await cloud.say(home, user, alarm.alarm_id, kind, note.value.trim());
      shut();
    } catch {
      setText(outcome, t("say.failed"));
      setText(yes, t(`say.${kind}.yes`));
      yes.disabled = false;
    }
  });
  open(title(t(`say.${kind}.title`)), h("p", {}, `${what(alarm)} ${where(alarm.room)}`.trim()), h("p", {}, t(explained)),
    kind === "it_was_me" ? h("p", { class: "note" }, t("say.it_was_me.teach")) : null,
    h("label", {}, h("span", {}, t("say.note")), note), outcome, h("div", { class: "buttons" }, yes, closer(t("say.no"))));
}

// -- a sensor --------------------------------------------------------------------------------

export async function sensor(of, state, home, nowUs) {
  const body = h("div", { id: "history" }, h("p", { class: "note" }, t("app.loading")));
  const low = state.low ? h("p", { class: "outcome" }, t("battery.low", { percent: of.battery_percent })) : null;
  open(title(`${roomName(of.room)} · ${t(story.sensorName(of))}`), h("p", {}, say(state.words)),
    state.heardUs ? h("p", { class: "note" }, t("history.heard", { time: time(state.heardUs, nowUs) })) : null, low, body, closer());
  if (story.SPEAKS_IN_ALARM.includes(of.kind)) return body.replaceChildren(h("p", { class: "note" }, t("history.alarmonly")));
  try {
    const headers = { Authorization: `Bearer ${await cloud.idToken()}` };
    const path = `/owner/history/${encodeURIComponent(home)}/${encodeURIComponent(of.id)}`;
    const answer = await fetch(path, { headers, signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(String(answer.status));
    body.replaceChildren(...history(of.kind, (await answer.json()).minutes, nowUs));
  } catch {
    body.replaceChildren(h("p", { class: "note" }, t("history.failed")));
  }
}

const SHOWN = { air: ["temperature_c", degrees], sound: ["max_dba", (value) => `${number(value)} dB`] };

function history(kind, minutes, nowUs) {
  if (!minutes.length) return [h("p", { class: "note" }, t("history.none"))];
  const fromUs = nowUs - DAY_US;
  const scale = h("p", { class: "scale" }, h("span", {}, time(fromUs, nowUs)), h("span", {}, time(nowUs, nowUs)));
  const heading = h("h3", {}, t("history.title"));
  if (SHOWN[kind]) {
    const [name, words] = SHOWN[kind];
    const points = minutes.filter((m) => name in m.quantities).map((m) => [m.minute_us, m.quantities[name]]);
    if (!points.length) return [h("p", { class: "note" }, t("history.none"))];
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const summary = t("history.between", { low: words(low), high: words(high), last: words(values.at(-1)) });
    return [heading, h("p", {}, summary), curve(points, low, high, fromUs, summary), scale];
  }
  const active = minutes.filter((m) => (kind === "contact" ? m.quantities.changes > 0 || m.quantities.open > 0 : ["person", "occupied", "pet"].includes(m.label)));
  const summary = kind === "contact" ? opened(minutes, nowUs)
    : active.length ? t("history.moved", { count: active.length, time: time(active.at(-1).minute_us, nowUs) }) : t("history.still");
  return [heading, h("p", {}, summary), strip(active, fromUs, summary), scale];
}

function opened(minutes, nowUs) {
  let before = 0;
  const times = [];
  for (const { minute_us: us, quantities } of minutes) {
    if (quantities.open > 0 && !before || !quantities.open && !before && quantities.changes > 1) times.push(us);
    before = quantities.open ?? 0;
  }
  return times.length ? t("history.opened", { count: times.length, time: time(times.at(-1), nowUs) }) : t("history.shut");
}

// Gaps stay gaps: what was not measured is not drawn.
function curve(points, low, high, fromUs, words) {
  const span = Math.max(high - low, 0.5);
  let path = "";
  let before = -Infinity;
  for (const [us, value] of points) {
    const x = ((us - fromUs) / DAY_US) * 1000;
    path += `${us - before > GAP_US ? "M" : "L"}${x.toFixed(1)} ${(96 - ((value - low) / span) * 92).toFixed(1)}`;
    before = us;
  }
  return frame(words, svg("path", { d: path }));
}

function strip(active, fromUs, words) {
  return frame(words, ...active.map((m) => svg("rect", { x: (((m.minute_us - fromUs) / DAY_US) * 1000).toFixed(1), y: 20, width: 2, height: 76 })));
}

const frame = (words, ...shapes) => svg("svg", { class: "chart", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": words },
  svg("line", { x1: 0, x2: 1000, y1: 99, y2: 99 }), ...shapes);

// -- settings --------------------------------------------------------------------------------

export function settings({ config, home, homes, user, about, languages, onLanguage, onHome, onOut, onChange }) {
  const outcome = h("p", { class: "outcome", role: "alert" });
  const out = button(t("sign.out"), async () => {
    out.disabled = true;
    try {
      await onOut();
    } catch {
      setText(outcome, t("sign.out.failed"));
      out.disabled = false;
    }
  }, "sign-out");
  open(title(t("set.title")), pushes(config, homes, user, onChange), wishes(home, user), contacts(about),
    chooser(t("set.language"), languages.map((name) => [name, t(`lang.${name}`)]), chosen(), onLanguage),
    homes.length > 1 ? homeChooser(homes, home, onHome) : null,
    outcome, h("div", { class: "buttons" }, out, closer()));
}

function button(words, run, id = "") {
  const made = h("button", { type: "button", id }, words);
  made.addEventListener("click", run);
  return made;
}

function pushes(config, homes, user, onChange) {
  const section = h("section", {}, h("h3", {}, t("set.push")));
  const outcome = h("p", { class: "outcome", role: "alert" });
  const draw = () => {
    const on = push.isOn();
    const can = push.supported() && !push.denied();
    const toggle = button(t(on ? "set.push.off" : "set.push.on"), async () => {
      toggle.disabled = true;
      try {
        if (on) await push.turnOff(homes);
        else await push.turnOn(config, homes, user);
        draw();
        onChange();
      } catch {
        setText(outcome, t("set.push.failed"));
        toggle.disabled = false;
      }
    }, "push-toggle");
    section.replaceChildren(h("h3", {}, t("set.push")), h("p", {}, t(on ? "set.push.is_on" : "set.push.is_off")),
      on ? "" : h("p", { class: "note" }, t("set.push.consent")),
      config.vapid_key ? "" : h("p", { class: "note" }, t("set.push.recorded")),
      can ? toggle : h("p", { class: "outcome" }, t(push.denied() ? "set.push.denied" : "set.push.unsupported")), outcome);
  };
  draw();
  return section;
}

// What was chosen comes from the database; until then nothing can be saved over it.
function wishes(home, user) {
  const section = h("section", {}, h("p", { class: "note" }, t("app.loading")));
  cloud.choices(home, user).then((known) => section.replaceChildren(...wishForm(known, home, user)), () => {
    section.replaceChildren(h("p", { class: "note" }, t("set.unknown")));
  });
  return section;
}

function wishForm(known, home, user) {
  const outcome = h("p", { class: "note", role: "status" });
  const box = (name) => h("input", { type: "checkbox", name, id: `set-${name}`, checked: known[name] });
  const clock = (name) => h("input", { type: "time", name, id: `set-${name}`, value: known[name] });
  const inputs = { handling: box("handling"), troubles: box("troubles"), quiet_from: clock("quiet_from"), quiet_to: clock("quiet_to") };
  const save = button(t("set.save"), async () => {
    const wanted = { handling: inputs.handling.checked, troubles: inputs.troubles.checked, quiet_from: inputs.quiet_from.value, quiet_to: inputs.quiet_to.value };
    try {
      await cloud.choose(home, user, wanted);
      setText(outcome, t("set.saved"));
    } catch {
      setText(outcome, t("set.failed"));
    }
  }, "set-save");
  return [
    h("label", { class: "check" }, inputs.handling, h("span", {}, t("set.handling"))),
    h("label", { class: "check" }, inputs.troubles, h("span", {}, t("set.troubles"))),
    h("h3", {}, t("set.quiet")), h("p", { class: "note" }, t("set.quiet.text")),
    h("div", { class: "pair" }, h("label", {}, h("span", {}, t("set.quiet.from")), inputs.quiet_from), h("label", {}, h("span", {}, t("set.quiet.to")), inputs.quiet_to)),
    save, outcome];
}

function contacts(about) {
  const names = about?.contacts ?? [];
  return h("section", {}, h("h3", {}, t("set.contacts")),
    names.length ? h("ol", {}, ...names.map((name, i) => h("li", {}, [`${i + 1}. ${name}`, about.phones?.[i]].filter(Boolean).join(" · ")))) : h("p", { class: "note" }, t("set.contacts.none")));
}

// By their addresses, which come from the database.
function homeChooser(homes, current, onHome) {
  const section = chooser(t("set.home"), homes.map((one, i) => [one, `${t("set.home")} ${i + 1}`]), current, onHome);
  for (const option of section.querySelectorAll("option")) {
    cloud.addressOf(option.value).then((address) => address && setText(option, address), () => {}); // it keeps its number
  }
  return section;
}

function chooser(words, options, current, onChoose) {
  const select = h("select", {}, ...options.map(([value, shown]) => h("option", { value, selected: value === current }, shown)));
  select.addEventListener("change", () => onChoose(select.value));
  return h("section", {}, h("label", {}, h("h3", {}, words), select));
}
