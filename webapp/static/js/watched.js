// What supervision found: incidents below the queue, one line of operations, the path of the card's home.
// It is asked for, not streamed: nothing here is as urgent as an alarm, and its age is shown.

import { get } from "./api.js";
import { byId, h, setText, sign } from "./dom.js";
import { agesOf } from "./supervision.js";
import { age, clock, elapsed, fullTime, nowUs } from "./time.js";

const ASK_MS = 5000;
let answeredUs = 0;
let said = null;
let shown = ""; // the card's home
let opened = ""; // the incident on the card
let onOpen = () => {};

export const setUp = (open) => (onOpen = open);

async function ask() {
  const home = shown;
  const reply = await get(`/watched${home ? `?home=${encodeURIComponent(home)}` : ""}`);
  if (reply.ok) {
    said = reply.data;
    answeredUs = nowUs();
    drawIncidents(said.incidents);
    drawPath(home, said.path);
  }
  drawLine();
}

function drawIncidents(incidents) {
  const rows = incidents.sort((a, b) => a.opened_us - b.opened_us).map((incident) =>
    h("li", {}, row(incident)));
  const focused = document.activeElement?.dataset?.incidentId;
  byId("incidents").replaceChildren(...rows);
  if (focused) byId("incidents").querySelector(`[data-incident-id="${focused}"]`)?.focus();
  if (byId("card").dataset.state === "incident") drawIncident(incidents.find((one) => one.incident_id === opened));
}

function row(incident) {
  const button = h("button", { type: "button", class: "row small trouble incident", title: `Silent since ${fullTime(incident.since_us)}`, "data-incident-id": incident.incident_id,
    "aria-current": String(incident.incident_id === opened && byId("card").dataset.state === "incident") },
    h("span", { class: "icon" }, sign("trouble")),
    h("span", { class: "what" }, incident.headline),
    h("span", { class: "time" }, elapsed(nowUs() - incident.since_us)));
  button.addEventListener("click", () => {
    opened = incident.incident_id;
    onOpen();
    byId("card").dataset.state = "incident";
    byId("card").className = "card trouble";
    drawIncidents(said.incidents);
  });
  return button;
}

// One card for all of its homes, with their count: nobody handles two hundred alarms of one cause.
function drawIncident(incident) {
  if (!incident) return setText(byId("incident-state"), "Over: every home is heard again.");
  const silent = incident.homes - incident.returned;
  setText(byId("incident-title"), incident.headline);
  setText(byId("incident-count"), String(silent));
  setText(byId("incident-words"), `${silent === 1 ? "home is" : "homes are"} silent of ${incident.homes}; ${incident.returned} back`);
  setText(byId("incident-state"), `Since ${clock(incident.since_us)}, ${age(nowUs() - incident.since_us)} ago. ${incident.mains_lost ? `${incident.mains_lost} had lost mains power just before: look for a power cut.` : "None had lost mains power: look at the operator’s network."}`);
  const table = (id, counts) => byId(id).replaceChildren(...counts.map(({ name, homes }) => h("tr", {}, h("th", { scope: "row" }, name || "unknown"), h("td", {}, String(homes)))));
  table("incident-regions", incident.regions);
  table("incident-operators", incident.operators);
  return null;
}

function drawPath(home, path) {
  const fails = path?.path_state === "PATH_FAIL";
  byId("home-path").className = fails ? "place warn" : "place";
  const words = !path ? "" : !fails ? `Heard since ${clock(path.path_since_us)}` : path.path_since_us ? `Not heard since ${clock(path.path_since_us)}` : "Never heard";
  if (home === shown) setText(byId("home-path"), words);
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

function drawLine() {
  const { supervision, losses } = said ?? {};
  const parts = [];
  let warn = false;
  if (!said || nowUs() - answeredUs > 3 * ASK_MS * 1000) {
    parts.push(said ? `Supervision not known for ${age(nowUs() - answeredUs)}` : "Supervision not known");
    warn = true;
  } else if (!supervision) {
    parts.push("No supervision yet");
  } else {
    parts.push(`${count(supervision.homes, "home", "homes")} watched`, `${supervision.silent} silent`);
    const { judgedUs, rosterAgeUs, isOld, rosterIsOld } = agesOf(supervision);
    if (isOld) parts.push(`judged ${age(judgedUs)} ago`);
    if (rosterIsOld) parts.push(`roster ${age(rosterAgeUs)} old`);
    warn = isOld || rosterIsOld;
  }
  if (losses?.batches) {
    parts.push(`${count(losses.batches, "batch", "batches")} of ${count(losses.homes, "home", "homes")} missing without a reason`);
    warn = true;
  }
  byId("operations").classList.toggle("warn", warn);
  setText(byId("operations"), parts.join(" · "));
}

// The card shows this home from now on.
export function show(home) {
  if (home === shown) return;
  shown = home;
  setText(byId("home-path"), "");
  ask();
}

setInterval(ask, ASK_MS);
ask();
