// One short tone a category, repeated until somebody claims. Mute lasts two minutes and shows.

import { byId, setText } from "./dom.js";
import { all, holder, setApart } from "./store.js";

const MUTE_MS = 120000;
// category: seconds between, then [Hz, seconds] in turn; the most urgent that waits is heard
const TONES = {
  life: [3, [[988, 0.14], [740, 0.14], [988, 0.14], [740, 0.14]]],
  intrusion: [6, [[587, 0.12], [587, 0.12], [587, 0.12]]],
  trouble: [30, [[330, 0.25]]],
};
let context = null;
let mutedUntilMs = 0;
let lastMs = {};
window.hearthwatch.tones = []; // for tests: what was to be heard

const urgent = () => {
  const waiting = [...all()].filter((alarm) => !holder(alarm) && !setApart(alarm));
  const category = Object.keys(TONES).find((name) => waiting.some((alarm) => alarm.category === name));
  const called = waiting.some((alarm) => alarm.category === category && alarm.escalation > 0);
  return { category, called };
};

// Once a second. What was escalated sounds twice as often.
export function tick() {
  drawButton();
  const { category, called } = urgent();
  if (!category) lastMs = {};
  if (!category || Date.now() < mutedUntilMs) return;
  const everyMs = (TONES[category][0] * 1000) / (called ? 2 : 1);
  if (Date.now() - (lastMs[category] ?? 0) < everyMs) return;
  lastMs[category] = Date.now();
  window.hearthwatch.tones.push(category);
  if (context?.state === "running") play(TONES[category][1]);
}

function play(notes) {
  let at = context.currentTime;
  for (const [hz, seconds] of notes) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = hz;
    volume.gain.setValueAtTime(0.2, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + seconds);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + seconds);
    at += seconds + 0.03;
  }
}

export function mute() {
  mutedUntilMs = Date.now() < mutedUntilMs ? 0 : Date.now() + MUTE_MS;
  drawButton();
}

function drawButton() {
  const leftS = Math.ceil((mutedUntilMs - Date.now()) / 1000);
  const muted = leftS > 0;
  const words = muted ? `Muted ${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, "0")}` : context?.state === "running" ? "Mute" : "Sound off: click";
  byId("mute").setAttribute("aria-pressed", String(muted));
  byId("mute").classList.toggle("warn", muted || context?.state !== "running");
  setText(byId("mute"), words);
}

// Browsers let a page sound only after somebody touched it.
export function wake() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume().then(drawButton);
}
