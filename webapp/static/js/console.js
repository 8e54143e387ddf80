// The page: wires stream, queue, card and keys together.

import * as actions from "./actions.js";
import { get, post } from "./api.js";
import * as card from "./card.js";
import { byId, CATEGORY_WORDS, h, setText, sign } from "./dom.js";
import { signOutFailed } from "./page.js";
import * as queue from "./queue.js";
import * as sound from "./sound.js";
import * as store from "./store.js";
import { follow } from "./stream.js";
import { age, clock, nowUs } from "./time.js";
import * as watched from "./watched.js";

const ALIVE_MS = 60000;
const RETRY_MS = 12000; // the server hands each showing on once in 10 s
let path = {};
let queueLive = false;
let queueSinceUs = 0;
let connection = { connected: false, sinceMs: Date.now(), signedOut: false };
let loaded = false;

// ---- what came from the server

follow({
  snapshot(data) {
    loaded = true;
    store.replaceAll(data.alarms);
    path = data.path;
    queueLive = data.live;
    queueSinceUs = data.since_us;
    drawAll();
  },
  delta(data) {
    store.apply(data.upserts, data.removed);
    drawSoon();
  },
  path({ server_us: _, ...lanes }) {
    path = lanes;
    drawStatus();
  },
  live(data) {
    queueLive = data.live;
    queueSinceUs = data.since_us;
    drawAll();
  },
  connection(connected, sinceMs, signedOut) {
    if (connected === connection.connected && signedOut === connection.signedOut) return;
    connection = { connected, sinceMs, signedOut };
    drawStatus();
    drawNote();
  },
});

// ---- drawing

// Messages can come faster than a screen is drawn: what came since the last drawing is drawn at once. A hidden
// page is given no frames, and is drawn by the clock.
let due = false;
function drawSoon() {
  if (due) return;
  due = true;
  if (document.hidden) setTimeout(drawAll, 200);
  else requestAnimationFrame(drawAll);
}

// A frame that was asked for before the page was hidden does not come until it is seen again.
document.addEventListener("visibilitychange", drawAll);

function drawAll() {
  due = false;
  queue.draw();
  card.refresh();
  drawCounts();
  drawStatus();
  drawNote();
}

function drawStatus() {
  const live = connection.connected && queueLive;
  document.body.dataset.live = live ? "live" : loaded ? "stale" : "loading";
  const banner = byId("banner");
  banner.hidden = live || (!loaded && connection.connected);
  if (connection.signedOut) {
    banner.replaceChildren("You are signed out. This list is not live. ", h("a", { href: "/sign-in" }, "Sign in"));
  } else if (!banner.hidden) {
    const sinceUs = connection.connected ? queueSinceUs : connection.sinceMs * 1000;
    const since = connection.connected ? clock(sinceUs) : clock(connection.sinceMs * 1000);
    setText(banner, `Not live since ${since}. New alarms may be missing. Reconnecting…`);
  }
  for (const lane of ["urgent", "minutes"]) drawLane(byId(`path-${lane}`), path[lane]);
}

function drawLane(element, proof) {
  const ageUs = proof ? nowUs() - proof.proven_us : Infinity;
  const late = ageUs > store.settings.path_limit_s * 1e6;
  element.classList.toggle("late", late);
  setText(element, proof ? `${age(ageUs)} ago${late ? " – late" : ""}` : "never");
  element.title = proof ? `Last at ${clock(proof.proven_us)}; it took ${((proof.proven_us - proof.sent_us) / 1e6).toFixed(2)} s` : "";
}

let countsDrawn = "";
function drawCounts() {
  const counts = { life: 0, intrusion: 0, trouble: 0, information: 0 };
  for (const alarm of store.all()) counts[alarm.category in counts ? alarm.category : "trouble"] += 1;
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const unheld = [...store.all()].filter((alarm) => !store.holder(alarm)).length;
  document.title = unheld ? `(${unheld}) Hearthwatch` : "Hearthwatch";
  if (countsDrawn === JSON.stringify(counts)) return;
  countsDrawn = JSON.stringify(counts);
  byId("counts").replaceChildren(
    ...["life", "intrusion", "trouble"].map((category) =>
      h("span", { class: `${category} ${counts[category] ? "some" : ""}` }, sign(category, 14), String(counts[category]))),
    h("span", { class: "some" }, `${total} open`));
}

function drawNote() {
  const note = byId("queue-note");
  const total = [...store.all()].length;
  const visible = queue.listed().length;
  note.className = total ? "queue-note" : "queue-note empty";
  let words = "";
  if (!loaded) words = connection.connected ? "Loading the queue…" : "The queue is not loaded: no connection.";
  else if (!total) words = connection.connected && queueLive ? "" : "No open alarms were known.";
  else if (visible < total) words = `${total - visible} of ${total} hidden by search or filter.`;
  setText(note, words);
  note.hidden = !words;
  const live = connection.connected && queueLive;
  setText(byId("nothing-title"), total || !live ? "No alarm selected" : "No open alarms");
  byId("nothing-hint").hidden = !total;
  setText(byId("nothing-quiet"), loaded && !total && live ? `Live since ${clock(queueSinceUs)}. New alarms appear at the left by themselves.` : "");
}

setInterval(() => {
  queue.tick();
  card.tick();
  drawStatus();
  drawCounts();
  sound.tick();
}, 1000);

// ---- through the queue

function openAlarm(id) {
  queue.select(id);
  actions.showWork();
  card.open(id);
  watched.show(card.current().home_id);
}

// The next that nobody has, from the most urgent; round again at the end.
function next() {
  const free = store.ordered().filter((alarm) => !store.holder(alarm));
  const at = free.findIndex((alarm) => alarm.alarm_id === card.current()?.alarm_id);
  if (free.length) openAlarm(free[(at + 1) % free.length].alarm_id);
}

function step(by) {
  const visible = queue.shown();
  const at = visible.findIndex((alarm) => alarm.alarm_id === card.current()?.alarm_id);
  const to = at < 0 ? 0 : Math.min(visible.length - 1, Math.max(0, at + by));
  if (visible.length) openAlarm(visible[to].alarm_id);
}

// ---- what was shown, what is held: told to the server

let shownIds = [];
queue.setUp({
  open: openAlarm,
  shown: noteShown,
});

function noteShown(id) {
  if (store.find(id)?.presented_us !== null) return;
  if (!shownIds.length) setTimeout(tellShown, 100);
  shownIds.push(id);
}

async function tellShown() {
  const ids = shownIds;
  shownIds = [];
  for (let i = 0; i < ids.length; i += 200) {
    const some = ids.slice(i, i + 200);
    if ((await post("/alarms/presented", { alarm_ids: some })).ok) continue;
    setTimeout(() => some.forEach(noteShown), RETRY_MS); // not stamped: told again
  }
}

setInterval(async () => {
  for (const alarm of [...store.all()].filter(store.isMine)) {
    const answer = await post(`/alarms/${encodeURIComponent(alarm.alarm_id)}/renew`, { fence: alarm.fence });
    if (answer.ok) store.applyAnswer(answer.data);
  }
}, (store.settings.lease_s * 1000) / 3);

setInterval(() => get("/session/state"), ALIVE_MS);

// ---- buttons and keys

actions.setUp(drawAll);
watched.setUp(() => {
  actions.showWork();
  card.close();
  queue.select(null);
});
byId("search").addEventListener("input", (event) => {
  queue.setSearch(event.target.value);
  queue.draw();
  drawNote();
});
queue.drawFilters(() => {
  queue.draw();
  drawNote();
});
byId("mute").addEventListener("click", sound.mute);
for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, sound.wake);
byId("help-open").addEventListener("click", () => toggleHelp());
signOutFailed((error) => card.say(error, true));
byId("legend").append(...Object.entries(CATEGORY_WORDS).map(([category, words]) =>
  h("div", { class: category }, h("dt", {}, sign(category)), h("dd", {}, words))));

function toggleHelp(open = !byId("help").open) {
  if (open) byId("help").show();
  else byId("help").close();
  byId("help-open").setAttribute("aria-expanded", String(open));
}

const KEYS = {
  n: next,
  c: actions.claim,
  p: actions.call,
  x: actions.chooseClose,
  m: sound.mute,
  "/": () => byId("search").focus(),
  "?": () => toggleHelp(),
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
};
for (let i = 0; i < 9; i += 1) KEYS[i + 1] = () => actions.tick(i);

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
  if (event.key === "Escape") {
    field?.blur();
    toggleHelp(false);
    actions.dismiss();
  } else if (!field && !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key]) {
    if (event.target.type === "radio" && event.key.startsWith("Arrow")) return; // moves among the codes
    event.preventDefault();
    KEYS[event.key]();
  }
});

byId("card").dataset.state = byId("context").dataset.state = "none";
drawStatus();
drawNote();
