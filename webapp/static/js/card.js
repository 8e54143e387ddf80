// The alarm's card and the home beside it. The row is known at once; evidence and curves follow.

import { get } from "./api.js";
import { drawCharts, quantityWords } from "./charts.js";
import * as contacts from "./contacts.js";
import { byId, capital, h, setText, sign, words } from "./dom.js";
import * as procedure from "./procedure.js";
import { drawBar } from "./queue.js";
import { find, handling, holder, isMine, onTest, settings } from "./store.js";
import { elapsed, homeClock as clock, homeShort, homeWhole as fullTime, nowUs, setHomeZone } from "./time.js";

const AVS_WORDS = ["no call for service", "limited information", "person present or likely", "threat to property", "threat to life"];
const MODES = { away: "Armed, everybody away", stay: "Armed, somebody home", disarmed: "Disarmed" };
// What the history's entries say; the server's word where there is none here.
const ACTIONS = {
  released: () => "gave it back",
  lapsed: (entry) => `: ${entry.from_name}’s claim ran out, back in the queue`,
  "taken over": (entry) => `took over from ${entry.from_name}`,
  escalated: (entry) => (entry.level === 2 ? "called the supervisor" : "called a second dispatcher"),
  called: (entry) => `called contact ${entry.contact + 1}: ${words(entry.outcome)}`,
  ticked: (entry) => `did step ${entry.step + 1}`,
  unticked: (entry) => `took back step ${entry.step + 1}`,
  dispatched: (entry) => `sent: ${words(entry.service)}`,
  "on scene": () => "heard that help is on scene",
  "wrong safe word": () => "was given a wrong safe word",
  cancelled: () => "cancelled it by the safe word",
  "it was me": () => "said in the app: it was me",
  help: () => "asked for help in the app",
};
const HOUR_MS = 30000; // the archive may be asked for hundreds of objects
let selected = null; // the alarm as last known, also after it left the queue
let detail = null;
let asked = 0;
let answer = {};
let span = { of: "", hour: null }; // the last hour, if it was asked for

export const current = () => selected;
export const home = () => detail?.home ?? null;
export const steps = () => detail?.procedure ?? [];

export function open(id) {
  selected = find(id);
  detail = null;
  byId("card").dataset.state = byId("context").dataset.state = "open";
  byId("card-body").scrollTop = 0;
  answer = {};
  setText(byId("span-note"), "");
  contacts.reset();
  drawHead();
  drawHome(null, "Loading…");
  drawDetail();
  load();
}

// Something else takes its place.
export function close() {
  selected = detail = null;
  asked += 1; // an answer under way comes too late
  byId("context").dataset.state = "none";
}

// The queue changed: the card follows what it shows.
export function refresh() {
  if (!selected) return;
  const fresh = find(selected.alarm_id);
  if (!fresh) return left();
  const grown = ["updated_us", "evidence_count", "state", "fence", "acted_us", "escalation", "owner_words"].some((field) => JSON.stringify(fresh[field]) !== JSON.stringify(selected[field]));
  selected = fresh;
  drawHead();
  drawWork();
  if (grown) load();
}

// It left the queue: say by whom, and leave the card as it was.
async function left() {
  const id = selected.alarm_id;
  if (selected.state === "closed") return;
  selected = { ...selected, state: "closed", claim: null };
  drawHead();
  drawWork();
  const reply = await get(`/alarms/${encodeURIComponent(id)}`);
  if (!reply.ok || selected?.alarm_id !== id) return;
  selected = reply.data.alarm;
  detail = reply.data;
  drawHead();
  drawDetail();
}

// The history grew by something that changes no field: a note.
export async function load() {
  if (!selected) return;
  const mine = ++asked;
  const reply = await get(`/alarms/${encodeURIComponent(selected.alarm_id)}`);
  if (mine !== asked) return; // another alarm was opened meanwhile
  if (reply.ok) {
    detail = reply.data;
    drawHome(detail.home, "No address on file");
    drawDetail();
  } else if (detail === null) {
    drawHome(null, selected.address ?? "Not loaded");
    note(`Evidence could not be loaded. ${reply.error}`);
  }
}

function drawHead() {
  const alarm = selected;
  const closed = alarm.state === "closed";
  byId("card").className = `card ${alarm.category} ${holder(alarm) || closed ? "held" : "unheld"}`;
  if (byId("card-icon").dataset.category !== alarm.category) {
    byId("card-icon").dataset.category = alarm.category;
    byId("card-icon").replaceChildren(sign(alarm.category, 26));
  }
  setText(byId("card-name"), [alarm.title, capital(alarm.room)].filter(Boolean).join(" · "));
  byId("card-avs").replaceChildren(h("b", {}, `AVS ${alarm.avs_level}`), ` ${AVS_WORDS[alarm.avs_level] ?? ""}`);
  byId("card-avs").title = byId("card-avs").textContent; // a long name leaves it little room
  setText(byId("card-headline"), alarm.headline || alarm.title);
  byId("card-facts").replaceChildren(...facts(alarm).flatMap((fact, i) => (i ? [" · ", fact] : [fact])));
  byId("card-facts").title = `Opened ${fullTime(alarm.opened_us)}`;
  const claim = byId("claim");
  const held = holder(alarm);
  const mine = isMine(alarm);
  const may = settings.role === "supervisor" && !mine;
  setText(claim.lastElementChild, closed ? "Reopen…" : mine ? "Yours" : held ? (may ? "Take over…" : "Taken") : "Claim");
  claim.disabled = !closed && Boolean(held) && !may;
  byId("close-go").disabled = byId("close-fields").disabled = byId("call").disabled = !mine;
  byId("release").hidden = !mine || alarm.state !== "claimed";
  for (const button of byId("send").querySelectorAll("[data-service]")) {
    const sent = alarm.services.includes(button.dataset.service);
    button.disabled = !mine || sent;
    button.setAttribute("aria-pressed", String(sent));
  }
  byId("on-scene").disabled = !mine || alarm.state !== "dispatched";
  byId("on-scene").setAttribute("aria-pressed", String(alarm.state === "on_scene"));
  setText(byId("test-go"), onTest(alarm) ? "End test" : "On test…");
  tick();
}

// What the holder does beside: contacts called, steps done.
function drawWork() {
  const mine = isMine(selected);
  contacts.draw(selected, home(), mine);
  procedure.draw(selected, steps(), mine);
}

// How often it came again after it had ended.
function recurrences(evidence) {
  const inOrder = [...evidence].sort((a, b) => a.recorded_us - b.recorded_us);
  return inOrder.filter((e, i) => i > 0 && e.qualifier !== 3 && inOrder[i - 1].qualifier === 3).length;
}

// Help stands first however often "it was me" was said after it: the phone may be in other hands.
function owners(alarm) {
  const said = (kind) => alarm.owner_words.filter((word) => word.kind === kind).map((word) => clock(word.at_us)).join(", ");
  const [help, me] = [said("help"), said("it_was_me")];
  return [help && h("strong", { class: "help-asked" }, `owner asks for help ${help}`), me && h("span", { class: "warn" }, `owner says: it was me ${me}`)];
}

function facts(alarm) {
  const again = recurrences(detail?.evidence ?? []);
  const warn = (said) => h("span", { class: "warn" }, said);
  const found = [...owners(alarm), MODES[alarm.armed_mode], `since ${clock(alarm.opened_us)}`].filter(Boolean);
  if (onTest(alarm)) found.push(warn(`home on test until ${clock(alarm.on_test_until_us)}`));
  if (alarm.escalation && !holder(alarm)) found.push(warn(alarm.escalation === 2 ? "the supervisor was called" : "a second dispatcher was called"));
  if (alarm.cancelled_us) found.push(`cancelled by a user ${clock(alarm.cancelled_us)}`);
  if (alarm.restored_us) found.push(`condition ended ${clock(alarm.restored_us)}`);
  if (again) found.push(warn(`came again ${again === 1 ? "once" : `${again} times`}`));
  if (alarm.clock_suspect) found.push(warn("gateway’s clock is wrong: times by arrival"));
  if (alarm.cert_expired) found.push(warn("gateway’s certificate has expired"));
  return found;
}

// Once a second.
export function tick() {
  if (!selected) return;
  const { limitS, share, waiting } = handling(selected);
  const untilUs = selected.closed_us ?? nowUs();
  setText(byId("card-elapsed"), elapsed(untilUs - selected.opened_us));
  byId("card-elapsed").classList.toggle("late", waiting && share >= 1);
  byId("card-bar").hidden = !limitS;
  if (!byId("card-bar").firstElementChild) byId("card-bar").append(h("i"));
  drawBar(byId("card-bar"), share);
  byId("card-bar").title = limitS ? `Limit ${limitS} s${waiting ? "" : `, taken after ${Math.round(share * limitS)} s`}` : "";
  drawOutcome();
}

// Beside the buttons: the server's answer to the last action, else who has the alarm.
function drawOutcome() {
  const answered = answer.words && answer.of === selected.alarm_id && answer.fence === selected.fence;
  byId("outcome").className = answered && answer.refused ? "outcome refused" : "outcome";
  setText(byId("outcome"), answered ? answer.words : stateWords());
}

function stateWords() {
  const held = holder(selected);
  if (selected.state === "closed") {
    return selected.closed_us ? `Closed ${clock(selected.closed_us)} by ${selected.claim?.name ?? "a dispatcher"}. Press n for the next.` : "No longer in the queue.";
  }
  if (held && isMine(selected)) {
    return selected.escalation ? "Others were called: nothing was done about it yet." : `You have it since ${clock(held.claimed_us)}.`;
  }
  if (held) return `${held.name} has it since ${clock(held.claimed_us)}.`;
  return selected.returned_us ? `Back in the queue since ${clock(selected.returned_us)}. Nobody has it.` : "";
}

export function say(said, refused) {
  answer = { of: selected?.alarm_id, fence: selected?.fence, words: said, refused };
  if (selected) drawOutcome();
}

function drawHome(home, fallback) {
  setText(byId("address"), home?.address ?? selected.address ?? fallback);
  setText(byId("place"), home?.place ?? selected.place ?? "");
  byId("home-facts").replaceChildren(
    h("a", { href: `/homes/${encodeURIComponent(selected.home_id)}`, target: "_blank", title: "Sensors and earlier alarms" }, selected.home_id),
    ` · case ${selected.case ?? detail?.case ?? "…"}`);
  drawWork();
}

function note(said) {
  byId("card-note").hidden = !said;
  setText(byId("card-note"), said);
}

function drawDetail() {
  const evidence = detail?.evidence ?? [];
  setHomeZone(detail?.home?.time_zone);
  drawHead(); // its times are the home's, too
  note(detail ? "" : "Loading evidence…");
  byId("why").replaceChildren(...(selected.avs_reasons.length ? selected.avs_reasons : ["No reasons were given."]).map((reason) => h("li", {}, words(reason))));
  setText(byId("why-title"), `Why AVS ${selected.avs_level}${selected.avs_rule ? ` (rule ${selected.avs_rule})` : ""}`);
  const count = Math.max(selected.evidence_count, evidence.length);
  setText(byId("evidence-title"), evidence.length && evidence.length < count ? `Evidence, newest ${evidence.length} of ${count}` : `Evidence (${count})`);
  byId("evidence").replaceChildren(...evidence.map(drawEvidence));
  byId("history").replaceChildren(...(detail?.history ?? []).toReversed().map(drawEntry));
  if (detail && !detail.history.length) byId("history").append(h("li", { class: "none" }, "Nobody has handled it yet."));
  if (!detail) return [byId("charts"), byId("earlier")].forEach((part) => part.replaceChildren());
  drawEarlier(detail.earlier);
  const measured = evidence.flatMap((e) => e.measurements.map((m) => [`${e.sensor_id}|${m.name}`, m.limit]));
  const whole = evidence.filter((e) => !e.measurements.length).map((e) => e.sensor_id);
  const scored = evidence.flatMap((e) => e.scores.map((s) => s.sensor_id));
  const involved = new Set([...measured.map(([key]) => key), ...[...whole, ...scored].filter(Boolean).map((id) => `${id}|`)]);
  const limits = new Map(measured.filter(([, limit]) => limit));
  const moments = evidence.map((e) => (e.clock_suspect ? e.arrived_us : e.occurred_us));
  const about = { moments, category: selected.category, room: selected.room, involved, limits };
  const shownHour = span.hour !== null && span.of === selected.home_id;
  byId("span-hour").setAttribute("aria-pressed", String(shownHour));
  byId("span-minutes").setAttribute("aria-pressed", String(!shownHour));
  if (!shownHour) drawCharts(byId("charts"), detail.series, about);
  else {
    const fromUs = span.hour.start_us;
    drawCharts(byId("charts"), span.hour.series, { ...about, moments: moments.filter((us) => us >= fromUs), spectrograms: span.hour.spectrograms });
  }
}

// The last hour comes from the archive, when somebody asks for it.
async function askHour() {
  const home = selected?.home_id;
  if (!home || !detail) return;
  setText(byId("span-note"), "Reading the archive…");
  const reply = await get(`/homes/${encodeURIComponent(home)}/hour`, HOUR_MS);
  if (selected?.home_id !== home) return;
  setText(byId("span-note"), !reply.ok ? reply.error : reply.data.series.length ? "" : "The archive has nothing of this hour yet.");
  if (!reply.ok || !reply.data.series.length) return;
  span = { of: home, hour: reply.data };
  drawDetail();
}

byId("span-hour").addEventListener("click", askHour);
byId("span-minutes").addEventListener("click", () => {
  span = { of: "", hour: null };
  setText(byId("span-note"), "");
  if (detail) drawDetail();
});

// What came of the home's other alarms tells what this one may be.
function drawEarlier(earlier) {
  const dayAgo = selected.opened_us - 86400e6;
  const recent = earlier.filter((alarm) => alarm.kind === selected.kind && alarm.opened_us > dayAgo).length;
  const some = recent ? `Earlier alarms (${recent + 1} of this kind in 24 h)` : "Earlier alarms, 30 days";
  setText(byId("earlier-title"), earlier.length ? some : "No earlier alarm in 30 days");
  byId("earlier").replaceChildren(...earlier.map((alarm) =>
    h("li", { title: alarm.close_note }, h("time", { title: fullTime(alarm.opened_us) }, homeShort(alarm.opened_us)), h("span", { class: "what" }, alarm.title),
      h("span", { class: alarm.state === "closed" ? "end" : "end open" }, alarm.state === "closed" ? words(alarm.close_out ?? "closed") : "open"))));
}

function drawEvidence(e) {
  const body = h("div", {}, `${e.title}${e.qualifier === 3 ? " ended" : ""}${e.room ? `, ${e.room}` : ""}`);
  for (const m of e.measurements) {
    body.append(h("div", { class: "detail" }, `${quantityWords(m.name)} `, h("b", {}, number(m.value)), ` ${m.unit === "1" ? "" : m.unit}`, m.limit ? `, limit ${number(m.limit)}` : ""));
  }
  for (const s of e.scores) {
    body.append(h("div", { class: "detail" }, `${s.family} ${s.room}: ${words(s.label)} `, h("b", {}, s.score.toFixed(2)), ` (${s.model_version})`));
  }
  const remarks = [e.late && "arrived late", e.clock_suspect && "clock wrong", e.cert_expired && "certificate expired", e.source === "fusion" && "by the models"].filter(Boolean);
  if (remarks.length) body.append(h("div", { class: "detail" }, remarks.join(", ")));
  const time = e.clock_suspect ? e.arrived_us : e.occurred_us;
  return h("li", {}, h("time", { title: fullTime(time) }, clock(time)), body);
}

const number = (value) => new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 }).format(value);

function drawEntry(entry) {
  const code = entry.close_out ? ` as “${words(entry.close_out)}”` : "";
  const remark = entry.note ? `: ${entry.note}` : "";
  return h("li", {}, h("time", { title: fullTime(entry.at_us) }, clock(entry.at_us)), h("span", {}, `${entry.name} ${ACTIONS[entry.action]?.(entry) ?? entry.action}${code}${remark}`));
}
