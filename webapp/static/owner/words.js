// Words of the chosen language, and numbers, times and ages as people there write them.

const KEY = "language";
let language = "en";
let locale = "en"; // with the region of the phone: 21:51 or 9:51 PM
let words = {};

export const chosen = () => language;

export function preferred(known) {
  const kept = localStorage.getItem(KEY);
  const asked = [kept, ...navigator.languages].filter(Boolean).map((name) => name.slice(0, 2));
  return asked.find((name) => known.includes(name)) ?? known[0];
}

export async function use(name) {
  const answer = await fetch(`/static/owner/words.${name}.json`);
  if (!answer.ok) throw new Error(`words: ${answer.status}`);
  words = await answer.json();
  language = name;
  locale = navigator.languages.find((one) => one.slice(0, 2) === name) ?? name;
  localStorage.setItem(KEY, name);
  document.documentElement.lang = name;
}

export const has = (key) => key in words;

// A missing word shows its key: visible in a test, harmless on a phone.
export function t(key, parts = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => parts[name] ?? "").replace(/\s+/g, " ").replace(/ ([.,:])/g, "$1").trim();
}

// With the day if it is not today's.
export function time(us, nowUs) {
  const date = new Date(us / 1000);
  const today = new Date(nowUs / 1000).toDateString() === date.toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", ...day }).format(date);
}

const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60]];

export function ago(us, nowUs) {
  const seconds = Math.max(0, Math.round((nowUs - us) / 1e6));
  const [unit, size] = STEPS.find(([, length]) => seconds >= length) ?? [];
  if (!unit) return t("now");
  return new Intl.RelativeTimeFormat(locale, { numeric: "always" }).format(-Math.floor(seconds / size), unit);
}

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

export const degrees = (value) => `${number(value, 1)} °C`;
