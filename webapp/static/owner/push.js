// Notifications on this phone: the browser's permission, a token, and the document that says so.

import * as cloud from "./cloud.js";
import { chosen } from "./words.js";

const KEY = "device";
const ANSWER_MS = 8000;

export const isOn = () => Boolean(localStorage.getItem(KEY)) && globalThis.Notification?.permission === "granted";
export const supported = () => "serviceWorker" in navigator && "Notification" in globalThis;
export const denied = () => globalThis.Notification?.permission === "denied";

export const worker = () => navigator.serviceWorker.register("/owner/service_worker.js", { scope: "/owner/" });

// Ask, and register this phone for the account's homes.
export async function turnOn(settings, homes, user) {
  if ((await Notification.requestPermission()) !== "granted") return false;
  const id = localStorage.getItem(KEY) ?? crypto.randomUUID();
  await register(settings, homes, user, id);
  localStorage.setItem(KEY, id);
  return true;
}

// Fails if the phone could not be taken off the list: it would go on getting alarms.
export async function turnOff(homes) {
  const id = localStorage.getItem(KEY);
  if (!id) return;
  if (!navigator.onLine) throw new Error("offline");
  await Promise.race([Promise.all(homes.map((home) => cloud.unregister(home, id))), expired()]);
  localStorage.removeItem(KEY);
}

const expired = () => new Promise((_, fail) => setTimeout(() => fail(new Error("no answer")), ANSWER_MS));

// Tokens change, and so does the language: at each start the document is brought up to date.
export async function refresh(settings, homes, user) {
  if (isOn()) await register(settings, homes, user, localStorage.getItem(KEY));
}

async function register(settings, homes, user, id) {
  const device = { token: await tokenOf(settings, id), language: chosen(), consent_version: settings.consent_version };
  await Promise.all(homes.map((home) => cloud.register(home, user, id, device)));
}

async function tokenOf(settings, id) {
  if (!settings.vapid_key) return `local-${id}`; // a recorder stands in for the push service
  const { getMessaging, getToken } = await import("/owner/sdk/firebase-messaging.js");
  const serviceWorkerRegistration = await worker();
  return getToken(getMessaging(cloud.firebaseApp()), { vapidKey: settings.vapid_key, serviceWorkerRegistration });
}
