// How the system fares: asked every few seconds, each figure with its age. Silence of a service is said
// where its figure stands and never drawn as zero.

import { get } from "./api.js";
import { byId, h, setText, words } from "./dom.js";
import { agesOf } from "./supervision.js";
import { age, clock, fullTime, learnServerTime, nowUs } from "./time.js";

const ASK_MS = 5000;
const OLD_MS = 15000;
const ANSWER_MS = 30000; // longer than the server waits for a silent service
const pathLimitUs = Number(byId("operations").dataset.pathLimitS) * 1e6;
let answeredMs = 0;
let asking = false;
let faults = [];

async function ask() {
  if (asking) return; // a slow answer is waited for, not asked for again
  asking = true;
  const reply = await get("/operations/state", ANSWER_MS);
  asking = false;
  if (reply.status === 401) return location.replace("/sign-in");
  if (reply.ok) {
    answeredMs = Date.now();
    learnServerTime(reply.data.server_us);
    draw(reply.data);
  }
  return drawAge();
}

function draw(data) {
  faults = data.queue_live ? [] : ["The dispatchers’ queue is not live."];
  const known = (name, answer, body, columns) => {
    if (!answer.error) return true;
    faults.push(`${name}: no answer.`);
    fill(body, [[cell(answer.error, "words warn", columns)]]);
    return false;
  };
  if (known("Path", data.path, "path", 3)) drawPath(data.path.value);
  if (known("Supervision", data.watched, "supervision", 2)) drawWatched(data.watched.value);
  else for (const [body, columns] of [["incidents", 5], ["losses", 5]]) fill(body, [[cell("not known", "words warn", columns)]]);
  if (known("Dead letters", data.letters, "letters", 5)) drawLetters(data.letters.value);
  if (known("Models", data.models, "models", 4)) drawModels(data.models.value);
  const lines = faults.map((words) => h("li", {}, words));
  byId("verdict").replaceChildren(...(lines.length ? lines : [h("li", { class: "fine" }, "Nothing. Every path is proven, nothing is missing without a reason.")]));
  byId("operations").setAttribute("aria-busy", "false");
}

function drawPath(lanes) {
  fill("path", ["urgent", "minutes"].map((lane) => {
    const proof = lanes[lane];
    const late = !proof || nowUs() - proof.proven_us > pathLimitUs;
    if (late) faults.push(`The ${lane} path ${proof ? `was last proven ${age(nowUs() - proof.proven_us)} ago` : "was never proven"}.`);
    return [head(lane), cell(proof ? `${age(nowUs() - proof.proven_us)} ago` : "never", late ? "warn" : "", 1, proof && fullTime(proof.proven_us)),
      cell(proof ? `${((proof.proven_us - proof.sent_us) / 1e6).toFixed(2)} s` : "–")];
  }));
}

function drawWatched({ incidents, losses, supervision }) {
  if (!supervision) {
    faults.push("Supervision has not reported yet.");
    fill("supervision", [[cell("no report yet", "words warn", 2)]]);
  } else {
    const { judgedUs, rosterAgeUs, isOld, rosterIsOld } = agesOf(supervision);
    if (isOld) faults.push(`Supervision last judged ${age(judgedUs)} ago: silence is not noticed.`);
    if (rosterIsOld) faults.push(`The roster is ${age(rosterAgeUs)} old.`);
    fill("supervision", [
      [head("Watched"), cell(String(supervision.homes))],
      [head("Silent"), cell(String(supervision.silent))],
      [head("Judged"), cell(`${age(judgedUs)} ago`, isOld ? "warn" : "")],
      [head("Roster’s age"), cell(age(rosterAgeUs), rosterIsOld ? "warn" : "")],
    ]);
  }
  for (const one of incidents) faults.push(`${one.headline}, for ${age(nowUs() - one.since_us)}.`);
  fill("incidents", incidents.map((one) => [cell(one.headline, "words"), cell(String(one.homes)), cell(String(one.homes - one.returned), "warn"),
    cell(String(one.mains_lost)), cell(age(nowUs() - one.since_us), "", 1, fullTime(one.since_us))]), "None.", 5);
  const unexplained = losses.filter((loss) => loss.reason === "unexplained");
  const batches = unexplained.reduce((sum, loss) => sum + loss.batches, 0);
  if (batches) faults.push(`${batches} ${batches === 1 ? "batch is" : "batches are"} missing without a reason.`);
  const at = (us) => (us ? fullTime(us) : "unknown");
  fill("losses", losses.map((loss) => [h("th", { scope: "row" }, h("a", { href: `/homes/${encodeURIComponent(loss.home_id)}` }, loss.home_id)),
    cell(String(loss.batches)), cell(words(loss.reason), loss.reason === "unexplained" ? "words warn" : "words"), cell(at(loss.from_us), "words"), cell(at(loss.to_us), "words")]),
  "Nothing is missing without a reason.", 5);
}

function drawLetters(found) {
  if (!found) return fill("letters", [], "No output folder is configured.", 5);
  const hour = found.reasons.reduce((sum, reason) => sum + reason.hour, 0);
  if (hour) faults.push(`${hour} dead ${hour === 1 ? "letter" : "letters"} in the last hour.`);
  setText(byId("letters-note"), found.more ? "There are more; the newest objects were counted." : "");
  return fill("letters", found.reasons.map((reason) => [head(reason.stage), cell(reason.error_type, "words"), cell(String(reason.hour), reason.hour ? "warn" : ""),
    cell(String(reason.day)), cell(clock(reason.newest_us), "", 1, fullTime(reason.newest_us))]), "None in 24 hours.", 5);
}

function drawModels(found) {
  if (!found) return fill("models", [], "No warehouse is configured.", 4);
  setText(byId("models-note"), `As the warehouse has it of ${found.homes} ${found.homes === 1 ? "home" : "homes"}.`);
  return fill("models", found.seen.map((model) => [head(model.family), cell(model.version, "words"), cell(String(model.readings)), cell(clock(model.newest_us), "", 1, fullTime(model.newest_us))]),
    "No reading was scored.", 4);
}

const head = (text) => h("th", { scope: "row" }, text);
const cell = (text, name = "", span = 1, title = "") => h("td", { class: name, colSpan: span, title: title || "" }, text);

function fill(body, rows, empty = "", columns = 1) {
  const drawn = rows.length ? rows : [[cell(empty, "words quiet-cell", columns)]];
  byId(body).replaceChildren(...drawn.map((cells) => h("tr", {}, ...cells)));
}

function drawAge() {
  const oldMs = Date.now() - answeredMs;
  const late = oldMs > OLD_MS;
  document.body.classList.toggle("stale", late);
  byId("age").classList.toggle("late", late && answeredMs > 0);
  setText(byId("age"), !answeredMs ? "Loading…" : late ? `No answer since ${clock(answeredMs * 1000)}. These figures are old.` : "Live");
}

setInterval(ask, ASK_MS);
setInterval(drawAge, 1000);
ask();
