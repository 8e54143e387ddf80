// The owner's app: what was last known at once, then what the database says, then as it changes.

import { byId, setText } from "/static/js/dom.js";
import * as story from "./story.js";
import * as view from "./view.js";
import { preferred, t, use } from "./words.js";

const settings = JSON.parse(document.body.dataset.settings);
const languages = document.body.dataset.languages.split(" ");
const KEPT = "last"; // the last known state, for the first picture
const GRACE_MS = 4000; // so long "connecting" is said before "no connection"
const pathLimitUs = settings.path_limit_s * 1e6;

let cloud, sheets, push;
let account = null;
let home = "";
let end = () => {};
let known = { home: null, told: [], live: null, path: null, about: null };
let server = new Set(); // documents whose state the server confirmed
let asOfUs = 0;
let startedMs = Date.now();

const nowUs = () => Date.now() * 1000;
const connected = () => navigator.onLine && server.has("home") && server.has("told");

function show(name) {
  document.body.dataset.view = name;
  byId("loading").hidden = name !== "loading";
  byId("home").hidden = byId("settings-open").hidden = name !== "home";
  byId("sign").hidden = name !== "sign";
}

// Nothing is said of a home of which nothing is known yet.
const isKnown = () => known.home !== null || server.has("home");

function draw() {
  if (document.body.dataset.view === "loading" && isKnown()) show("home");
  if (document.body.dataset.view !== "home") return;
  const us = nowUs();
  view.setNow(us);
  const isConnected = connected();
  const all = { ...known, pathLimitUs, nowUs: isConnected ? us : asOfUs };
  setText(byId("title"), known.about?.address ?? "Hearthwatch");
  view.drawHead(story.headline(all), { connected: isConnected, asOfUs, waiting: navigator.onLine && Date.now() - startedMs < GRACE_MS });
  view.drawNow(story.open(known.told), (alarm, kind) => sheets?.ask(alarm, kind, { home, user: account.user, connected, noteChars: settings.max_note_chars }));
  view.drawRooms(known, { connected: isConnected }, (sensor, state) => sheets?.sensor(sensor, state, home, us));
  view.drawWorks(story.works({ ...all, connected: isConnected, asOfUs, push: push?.isOn() ?? false }));
  view.drawPast(story.past(known.told));
}

function label() {
  for (const [id, key] of Object.entries({
    "now-title": "alarms.open", "rooms-title": "rooms.title", "works-title": "works.title", "past-title": "alarms.past",
    "sign-title": "sign.title", "sign-email-label": "sign.email", "sign-password-label": "sign.password", "sign-button": "sign.button",
  })) setText(byId(id), t(key));
  byId("settings-open").setAttribute("aria-label", t("set.title"));
}

async function speak(language) {
  await use(language);
  label();
  setText(byId("loading"), t("app.loading"));
  byId("rooms").dataset.text = "";
  draw();
}

// What was known when this app was last open, before anything is asked.
function recall() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "null");
  if (!kept) return;
  ({ known, asOfUs, home } = kept);
  show("home");
  draw();
}

function heard(name, data, { fromServer }) {
  if (fromServer) server.add(name);
  else server.delete(name);
  if (data !== null || fromServer) known[name] = data;
  if (connected()) {
    asOfUs = nowUs();
    localStorage.setItem(KEPT, JSON.stringify({ known, asOfUs, home }));
  }
  draw();
}

function begin(wanted) {
  end();
  if (wanted !== home) known = { home: null, told: [], live: null, path: null, about: null };
  home = wanted;
  server = new Set();
  startedMs = Date.now();
  end = cloud.follow(home, heard, () => server.clear());
  watch();
  show(isKnown() ? "home" : "loading");
  draw();
  push.refresh(settings, account.homes, account.user).catch(() => {}); // at the next start again
}

// While somebody looks the home's sensors are written every minute.
function watch() {
  if (home && account && !document.hidden && navigator.onLine) cloud.watch(home).catch(() => {}); // renewed in a while
}

async function leave() {
  await push.turnOff(account.homes); // fails without a network, and then nothing has changed
  end();
  end = () => {};
  sheets.shut();
  localStorage.removeItem(KEPT);
  await cloud.leave();
  location.reload();
}

function onAccount(found) {
  if (!found) {
    localStorage.removeItem(KEPT);
    account = null;
    return show("sign");
  }
  const first = account?.user !== found.user;
  account = { ...found, homes: found.homes ?? account?.homes ?? (home ? [home] : []) };
  if (!account.homes.length) {
    show("sign");
    return setText(byId("sign-outcome"), t("sign.foreign"));
  }
  if (first) begin(account.homes.includes(home) ? home : account.homes[0]);
}

const SIGN_IN_ERRORS = { "auth/network-request-failed": "sign.offline", "auth/too-many-requests": "sign.many" };

byId("sign-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("sign-button");
  button.disabled = true;
  setText(button, t("sign.busy"));
  setText(byId("sign-outcome"), "");
  try {
    await cloud.signIn(byId("email").value, byId("password").value);
    byId("password").value = "";
  } catch (error) {
    setText(byId("sign-outcome"), t(SIGN_IN_ERRORS[error.code] ?? "sign.wrong"));
  }
  button.disabled = false;
  setText(button, t("sign.button"));
});

byId("settings-open").addEventListener("click", () => sheets?.settings({
  config: settings, home, homes: account?.homes ?? [], user: account?.user, about: known.about, languages,
  onLanguage: (language) => { speak(language); sheets.shut(); push.refresh(settings, account.homes, account.user).catch(() => {}); },
  onHome: (wanted) => { sheets.shut(); begin(wanted); },
  onOut: leave, onChange: draw,
}));

for (const name of ["online", "offline"]) addEventListener(name, draw);
document.addEventListener("visibilitychange", () => { watch(); draw(); });
setInterval(draw, GRACE_MS + 500); // ages grow
setInterval(watch, (settings.watched_s * 1000 * 2) / 3);

await speak(preferred(languages));
recall();
cloud = await import("./cloud.js");
push = await import("./push.js");
sheets = await import("./sheets.js");
cloud.connect(settings);
cloud.onAccount(onAccount);
if ("serviceWorker" in navigator) {
  const before = navigator.serviceWorker.controller;
  navigator.serviceWorker.addEventListener("controllerchange", () => before && location.reload()); // a new build
  push.worker().catch(() => {}); // without it the app works, but not without a network
}
