// What a dispatcher does to the alarm on the card. Every button says pending, done, or refused and why.

import { post } from "./api.js";
import * as card from "./card.js";
import * as contacts from "./contacts.js";
import { byId, setText } from "./dom.js";
import * as procedure from "./procedure.js";
import * as store from "./store.js";

let last = Promise.resolve(); // the action under way
let ask = null; // what the reason in the form is for: {send(text, minutes)}
let drawAll = () => {};

const alarmPath = (action, alarm) => `/alarms/${encodeURIComponent(alarm.alarm_id)}/${action}`;

// One after the other, so that none is lost while another is under way. Nothing is shown as done before the
// server says so.
async function act(button, words, send) {
  if (button?.disabled) return null;
  if (button) button.disabled = true;
  const id = card.current().alarm_id;
  const turn = last.then(() => {
    card.say(words, false);
    return send();
  });
  last = turn;
  const answer = await turn;
  if (button) button.disabled = false;
  if (answer.ok) store.applyAnswer(answer.data);
  if (card.current()?.alarm_id === id) card.say(answer.ok ? "" : answer.error, !answer.ok);
  card.refresh();
  drawAll();
  return answer;
}

// An action of the holder: its fence goes along.
function held(button, words, action, body = {}) {
  const alarm = card.current(); // the one that was meant, also if another is opened meanwhile
  return act(button, words, () => post(alarmPath(action, alarm), { fence: alarm.fence, ...body }));
}

export function claim() {
  const alarm = card.current();
  const button = byId("claim");
  if (!alarm || button.disabled) return;
  const holder = store.holder(alarm);
  if (alarm.state === "closed") {
    askReason("Reopen it, because", (text) => act(button, "Reopening…", () => post(alarmPath("reopen", alarm), { text })));
  } else if (holder && !store.isMine(alarm)) {
    askReason(`Take it from ${holder.name}, because`, (text) => act(button, "Taking over…", () => post(alarmPath("take-over", alarm), { text })));
  } else {
    act(button, "Claiming…", () => post(alarmPath("claim", alarm)));
  }
}

export function call() {
  const alarm = card.current();
  if (!alarm) return;
  if (!store.isMine(alarm)) card.say("Claim it first.", true);
  else if (!contacts.callNext(alarm, card.home())) card.say("No phone number is on file.", true);
}

export function tick(i) {
  const alarm = card.current();
  if (!alarm || i >= card.steps().length) return;
  if (!store.isMine(alarm)) return card.say("Claim it first.", true);
  held(null, "Noting the step…", "step", { step: i, done: !alarm.steps_done.includes(i) });
}

// ---- closing takes the place of the procedure; Escape brings that back

export function chooseClose() {
  const alarm = card.current();
  if (!alarm || alarm.state === "closed") return;
  if (!store.isMine(alarm)) return card.say("Claim it first.", true);
  byId("work").hidden = true;
  byId("close-out").hidden = false;
  byId("close-out").querySelector("input").focus();
}

export function showWork() {
  byId("close-out").hidden = true;
  byId("work").hidden = false;
  byId("close-out").reset();
  setText(byId("close"), "Close alarm");
  setText(byId("close-outcome"), "");
  setText(byId("note-outcome"), "");
  closeAsk();
}

export function dismiss() {
  if (ask) closeAsk();
  else if (!byId("close-out").hidden) showWork();
}

async function close(form) {
  const refuse = (words) => {
    byId("close-outcome").className = "outcome refused";
    setText(byId("close-outcome"), words);
  };
  const [code, note, word] = [form.elements.code.value, form.elements.note.value, form.elements.word.value];
  if (!code) {
    refuse("Choose what it was.");
    form.querySelector("input").focus();
    return;
  }
  refuse("");
  form.elements.word.value = ""; // it stays nowhere
  setText(byId("close"), "Close alarm");
  const answer = word
    ? await held(byId("close"), "Cancelling…", "cancel", { code, note, word })
    : await held(byId("close"), "Closing…", "close", { code, note });
  if (answer?.ok) showWork();
  else if (answer) refuse(answer.error);
}

// ---- a reason, in one line where the services are

function askReason(words, send, minutes = false) {
  ask = send;
  setText(byId("ask-label"), words);
  byId("ask-minutes").hidden = !minutes;
  byId("send").hidden = true;
  byId("ask").hidden = false;
  byId("ask-text").value = "";
  (minutes ? byId("ask-minutes") : byId("ask-text")).focus();
}

function closeAsk() {
  ask = null;
  byId("ask").hidden = true;
  byId("send").hidden = false;
}

function test() {
  const alarm = card.current();
  const path = `/homes/${encodeURIComponent(alarm.home_id)}/test`;
  const run = (words, send) => act(byId("test-go"), words, async () => ({ ...(await send()), data: {} }));
  if (store.onTest(alarm)) return run("Ending the test…", () => post(`${path}/end`));
  return askReason("Home on test for", (reason) =>
    run("Putting the home on test…", () => post(path, { minutes: Number(byId("ask-minutes").value), reason })), true);
}

async function addNote(form) {
  const field = byId("note");
  if (!card.current() || !field.value.trim()) return;
  const answer = await post(alarmPath("note", card.current()), { text: field.value });
  byId("note-outcome").className = answer.ok ? "outcome" : "outcome refused";
  setText(byId("note-outcome"), answer.ok ? "Added." : answer.error);
  if (answer.ok) {
    form.reset();
    card.load();
  }
}

export function setUp(draw) {
  drawAll = draw;
  contacts.setUp((contact, outcome, button) => {
    contacts.reset();
    held(button, "Noting the call…", "call", { contact, outcome });
  });
  procedure.setUp(tick);
  byId("claim").addEventListener("click", claim);
  byId("call").addEventListener("click", call);
  byId("close-go").addEventListener("click", chooseClose);
  byId("release").addEventListener("click", () => held(byId("release"), "Giving it back…", "release"));
  byId("on-scene").addEventListener("click", () => held(byId("on-scene"), "Noting that help is there…", "on-scene"));
  byId("test-go").addEventListener("click", test);
  byId("ask-cancel").addEventListener("click", closeAsk);
  byId("send").addEventListener("click", (event) => {
    const button = event.target.closest("[data-service]");
    if (button) held(button, "Noting who was sent…", "dispatch", { service: button.dataset.service });
  });
  byId("word").addEventListener("input", (event) => setText(byId("close"), event.target.value ? "Cancel by safe word" : "Close alarm"));
  const onSubmit = (id, run) => byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    run(event.target);
  });
  onSubmit("close-out", close);
  onSubmit("note-form", addNote);
  onSubmit("ask", () => {
    const send = ask;
    const text = byId("ask-text").value;
    closeAsk();
    send(text);
  });
}
