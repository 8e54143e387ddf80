// Times. The server's clock counts: the difference to this machine's is learnt from every message.

let offsetMs = 0;

export function learnServerTime(serverUs) {
  const measured = serverUs / 1000 - Date.now();
  // A message can only be late, never early: keep the offset unless it is clearly wrong.
  if (measured > offsetMs || Math.abs(measured - offsetMs) > 2000) offsetMs = measured;
}

export const nowUs = () => (Date.now() + offsetMs) * 1000;

const pad = (number) => String(number).padStart(2, "0");

// "0:47", "1:04:09", "2 d 3 h"
export function elapsed(us) {
  const s = Math.max(0, Math.floor(us / 1e6));
  if (s < 3600) return `${Math.floor(s / 60)}:${pad(s % 60)}`;
  if (s < 86400) return `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

// "12 s", "4 min", "3 h"
export function age(us) {
  const s = Math.max(0, Math.floor(us / 1e6));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}

const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

// The card speaks in the home's time, the queue in the dispatcher's; on hover both are told where they differ.
let home = null;

export function setHomeZone(timeZone) {
  try {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const zone = { timeZone: timeZone || own };
    home = {
      differs: Boolean(timeZone) && timeZone !== own,
      seconds: new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit", second: "2-digit" }),
      minutes: new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit" }),
      short: new Intl.DateTimeFormat("en-GB", { ...zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
      whole: new Intl.DateTimeFormat("en-GB", { ...zone, dateStyle: "medium", timeStyle: "long" }),
    };
  } catch {
    setHomeZone(""); // no such zone: our own
  }
}

export const homeClock = (us) => home.seconds.format(us / 1000);
export const homeMinutes = (us) => home.minutes.format(us / 1000);
export const homeShort = (us) => home.short.format(us / 1000);
export const homeWhole = (us) => (home.differs ? `Home ${home.whole.format(us / 1000)}, here ${whole.format(us / 1000)}` : whole.format(us / 1000));
export const clock = (us) => seconds.format(us / 1000);
export const clockMinutes = (us) => minutes.format(us / 1000);
export const fullTime = (us) => whole.format(us / 1000);

setHomeZone("");
