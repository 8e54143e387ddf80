// The open alarms as the server last told them, and what follows from them. No drawing here.

import { nowUs } from "./time.js";

const RANK = { life: 0, intrusion: 1, trouble: 2, information: 3 };
export const settings = JSON.parse(document.body.dataset.settings);

const alarms = new Map();

export const find = (id) => alarms.get(id);
export const all = () => alarms.values();

export function replaceAll(list) {
  alarms.clear();
  for (const alarm of list) alarms.set(alarm.alarm_id, alarm);
}

export function apply(upserts, removed) {
  for (const id of removed) alarms.delete(id);
  for (const alarm of upserts) alarms.set(alarm.alarm_id, alarm);
}

// The server's answer to our own action: only the console's fields, and never older than what we have.
export function applyAnswer(answer) {
  const known = alarms.get(answer.alarm_id);
  if (!known || answer.fence < known.fence) return;
  if (answer.state === "closed") alarms.delete(answer.alarm_id);
  else alarms.set(answer.alarm_id, { ...known, ...Object.fromEntries(settings.console_fields.map((field) => [field, answer[field]])) });
}

// Category first, then who has waited longest; what is set apart comes last. The id settles ties, so that
// rows never swap.
export function ordered() {
  return [...alarms.values()].sort((a, b) =>
    setApart(a) - setApart(b) || (RANK[a.category] ?? 2) - (RANK[b.category] ?? 2) ||
    a.opened_us - b.opened_us || (a.alarm_id < b.alarm_id ? -1 : 1));
}

// Who has it now: null if nobody, or if the holder's page has been silent too long.
export const holder = (alarm) => (alarm.state !== "closed" && alarm.claim?.expires_us > nowUs() ? alarm.claim : null);
export const isMine = (alarm) => holder(alarm)?.user === settings.user;

export const onTest = (alarm) => alarm.on_test_until_us > nowUs();
export const asksForHelp = (alarm) => alarm.owner_said?.kind === "help";
// A fire can break out during a test: life safety is never set apart, nor is a cry for help.
export const setApart = (alarm) => onTest(alarm) && alarm.category !== "life" && !asksForHelp(alarm);

// The standard's limit counts until somebody takes it, anew each time it comes back to the queue.
export function handling(alarm) {
  const limitS = settings.limits_s[alarm.category];
  const sinceUs = Math.max(alarm.opened_us, alarm.returned_us ?? 0);
  const held = holder(alarm);
  const takenUs = alarm.acknowledged_us >= sinceUs ? alarm.acknowledged_us : held?.claimed_us;
  const untilUs = held ? takenUs : alarm.closed_us ?? nowUs();
  return { limitS, share: limitS ? (untilUs - sinceUs) / 1e6 / limitS : 0, waiting: !held && alarm.state !== "closed" };
}
