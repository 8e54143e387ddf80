// What is known of a home → what an owner reads: pure functions, no DOM, no clock of their own.
// Sentences are [key, parts] pairs; `where`, `time` and the like are filled in by say().

const MINUTE_US = 60e6;
const SILENT_US = 12 * MINUTE_US; // last_seen is coarse by five minutes, and a batch may be late
const LIVE_US = 2.5 * MINUTE_US;
const LOW_BATTERY_PERCENT = 20;
const URGENT = ["life", "intrusion"];
const FAULTS = { 137: "tampered", 144: "tampered", 147: "unheard", 381: "unheard", 380: "unheard" };

const newestFirst = (a, b) => b.opened_us - a.opened_us;
export const isUrgent = (alarm) => URGENT.includes(alarm.category);
export const open = (told) => told.filter((alarm) => alarm.closed_us === null).sort(newestFirst);
export const past = (told) => told.filter((alarm) => alarm.closed_us !== null).sort(newestFirst);

// {tone: calm | notice | alarm, head, sub}; head and sub are sentences.
export function headline({ home, told, path, pathLimitUs, nowUs }) {
  const urgent = open(told).filter(isUrgent).sort((a, b) => (a.category === b.category ? newestFirst(a, b) : a.category === "life" ? -1 : 1));
  if (urgent.length) return inAlarm(urgent);
  if (!home || !home.last_seen_us) return { tone: "notice", head: ["head.never"], sub: ["sub.never"] };
  if (home.path_state === "PATH_FAIL") {
    return { tone: "notice", head: ["head.unheard", { at: home.path_since_us || home.last_seen_us }], sub: ["sub.unheard"] };
  }
  const provenUs = path?.urgent?.proven_us;
  if (provenUs && nowUs - provenUs > pathLimitUs) return { tone: "notice", head: ["head.line", { at: provenUs }], sub: ["sub.line"] };
  if (nowUs - home.last_seen_us > SILENT_US) return { tone: "notice", head: ["head.silent", { at: home.last_seen_us }], sub: ["sub.silent"] };
  const troubles = open(told);
  if (troubles.length) {
    const [first] = troubles;
    return { tone: "notice", head: ["head.trouble", { alarm: first }], sub: [`next.${first.kind}`], more: troubles.length - 1 };
  }
  return whenWell(home);
}

function inAlarm(urgent) {
  const [first] = urgent;
  const handled = first.state !== "new";
  return { tone: "alarm", head: [handled ? "head.handled" : "head.alarm", { alarm: first, at: first.occurred_us }], sub: stage(first), more: urgent.length - 1 };
}

function whenWell(home) {
  const count = Object.keys(home.sensors ?? {}).length;
  const low = lowBatteries(home);
  if (low.length) return { tone: "notice", head: ["head.trouble", { code: 384, room: home.sensors[low[0]].room }], sub: ["next.battery"], more: low.length - 1 };
  const phase = { exit_delay: "head.exit", entry_delay: "head.entry" }[home.armed_phase];
  const mode = ["away", "stay", "disarmed"].includes(home.armed_mode) ? home.armed_mode : "unknown";
  const fine = mode === "unknown" ? "sub.fine" : `sub.fine.${mode}`;
  return { tone: "calm", head: [phase ?? `head.${mode}`], sub: count ? [fine, { count }] : ["rooms.none"] };
}

// How far it has come, in one sentence.
export function stage(alarm) {
  if (alarm.closed_us !== null) return ["stage.closed", { outcome: alarm.close_out }];
  if (alarm.state === "on_scene") return ["stage.on_scene"];
  if (alarm.state === "dispatched") return ["stage.dispatched", { service: alarm.services.at(-1) }];
  if (alarm.restored_us && !URGENT.includes(alarm.category)) return ["stage.restored"];
  return [alarm.state === "claimed" ? "stage.claimed" : "stage.new"];
}

// What has happened, in order of time: [µs or null, sentence].
export function steps(alarm) {
  const found = [[alarm.occurred_us, ["step.noticed"]]];
  const add = (us, ...sentence) => us && found.push([us, sentence]);
  add(alarm.seen_us, "step.taken");
  add(alarm.dispatched_us, "step.sent", { service: alarm.services.at(-1) });
  add(alarm.on_scene_us, "step.there");
  add(alarm.restored_us, "step.restored");
  add(alarm.cancelled_us, "step.cancelled");
  for (const word of alarm.owner_words ?? []) add(word.at_us, `step.${word.kind}`);
  add(alarm.closed_us, "step.closed", { outcome: alarm.close_out });
  found.sort(([a], [b]) => a - b);
  if (!alarm.seen_us && alarm.closed_us === null) found.push([null, ["step.waiting"]]);
  return found;
}

// What an owner may still say about it.
export function sayable(alarm) {
  if (alarm.closed_us !== null) return [];
  const said = (alarm.owner_words ?? []).map((word) => word.kind);
  const wanted = isUrgent(alarm) ? ["help", "it_was_me"] : ["it_was_me"];
  return wanted.filter((kind) => !said.includes(kind) && !["path", "battery", "power"].includes(alarm.kind));
}

// Rooms in the order of their names, sensors within: doors and windows first.
const ORDER = ["contact", "smoke", "co", "heat", "motion", "air", "sound", "water", "button"];

export function rooms(home) {
  const found = new Map();
  for (const [id, sensor] of Object.entries(home?.sensors ?? {})) {
    found.set(sensor.room, [...(found.get(sensor.room) ?? []), { id, ...sensor }]);
  }
  const rank = (sensor) => (ORDER.indexOf(sensor.kind) + ORDER.length + 1) % (ORDER.length + 1);
  for (const list of found.values()) list.sort((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
  return [...found].sort(([a], [b]) => a.localeCompare(b)); // the database keeps no order
}

export function sensorName({ id, kind }) {
  if (kind === "contact") {
    const part = ["window", "front", "door"].find((word) => id.includes(word));
    return part ? `sensor.contact.${part}` : "sensor.contact";
  }
  return ORDER.includes(kind) ? `sensor.${kind}` : "sensor.other";
}

export const SPEAKS_IN_ALARM = ["smoke", "button", "co", "heat", "water"];

// A sensor's state: {words, fault, low, heardUs}.
export function sensorState(sensor, live, told) {
  const fault = open(told).find((alarm) => FAULTS[alarm.code] && alarm.room === sensor.room && alarm.kind !== "path");
  const low = sensor.battery_percent !== null && sensor.battery_percent !== undefined && sensor.battery_percent <= LOW_BATTERY_PERCENT;
  const now = live?.sensors?.[sensor.id];
  const said = fault ? [`state.${FAULTS[fault.code]}`] : now ? measured(sensor.kind, now) : [SPEAKS_IN_ALARM.includes(sensor.kind) ? "state.ready" : "state.unknown"];
  return { words: said, fault: Boolean(fault), low, heardUs: now?.heard_us ?? null };
}

function measured(kind, { label, quantities }) {
  if (kind === "contact" && "open" in quantities) return [quantities.open ? "state.open" : "state.closed"];
  if (kind === "motion") return [["person", "occupied", "pet"].includes(label) ? "state.moving" : "state.still"];
  if (kind === "sound" && "max_dba" in quantities) {
    return [quantities.max_dba < 50 ? "state.quiet" : quantities.max_dba < 75 ? "state.lively" : "state.loud"];
  }
  if (kind === "air" && "temperature_c" in quantities) return air(quantities);
  return ["state.unknown"];
}

function air({ temperature_c: temperature, co2_ppm: co2, co_ppm: co }) {
  if (co >= 10) return ["state.air.co", { temperature, co }];
  if (co2 === undefined) return ["state.air", { temperature }];
  return [co2 > 1400 ? "state.air.stuffy" : "state.air.good", { temperature }];
}

export const isLive = (live, nowUs) => Object.values(live?.sensors ?? {}).some(({ heard_us: heard }) => nowUs - heard < LIVE_US);

const lowBatteries = (home) => Object.keys(home.sensors ?? {}).filter((id) => {
  const percent = home.sensors[id].battery_percent;
  return percent !== null && percent !== undefined && percent <= LOW_BATTERY_PERCENT;
});

// Does everything work? Rows of [subject, sentence, works].
export function works({ home, path, pathLimitUs, connected, asOfUs, push, nowUs }) {
  const heardUs = home?.last_seen_us ?? 0;
  const failed = home?.path_state === "PATH_FAIL" || nowUs - heardUs > SILENT_US;
  const provenUs = path?.urgent?.proven_us ?? 0;
  const late = nowUs - provenUs > pathLimitUs;
  return [
    ["works.home", !heardUs ? ["works.home.never"] : failed ? ["works.home.fail", { at: home.path_state === "PATH_FAIL" && home.path_since_us || heardUs }] : ["works.home.ok", { since: heardUs }], Boolean(heardUs) && !failed],
    ["works.line", !provenUs ? ["works.line.unknown"] : late ? ["works.line.fail", { at: provenUs }] : ["works.line.ok", { since: provenUs }], Boolean(provenUs) && !late],
    ["works.phone", connected ? ["works.phone.ok"] : ["works.phone.fail", { at: asOfUs }], connected],
    ["works.push", [push ? "works.push.on" : "works.push.off"], push],
  ];
}
