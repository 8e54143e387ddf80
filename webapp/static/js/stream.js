// The live queue from the server. Silence is noticed here: a connection can die without a word.

import { get } from "./api.js";
import { learnServerTime } from "./time.js";

const SILENCE_MS = 7000; // the server speaks every 2 s
const REOPEN_MS = 2000;
const EVENTS = ["snapshot", "delta", "path", "live", "beat", "signed-out"];

let source = null;
let lastId = "";
let heardMs = Date.now();
let reopening = false;

// handlers: {snapshot, delta, path, live, beat} get the data; connection(connected, sinceMs, signedOut)
export function follow(handlers) {
  open(handlers);
  setInterval(() => {
    if (Date.now() - heardMs > SILENCE_MS) {
      handlers.connection(false, heardMs, false);
      reopen(handlers);
    }
  }, 1000);
}

function open(handlers) {
  source = new EventSource(`/stream?after=${encodeURIComponent(lastId)}`);
  for (const name of EVENTS) {
    source.addEventListener(name, (event) => {
      if (name === "signed-out") return signedOut(handlers);
      heardMs = Date.now();
      if (event.lastEventId) lastId = event.lastEventId;
      const data = JSON.parse(event.data);
      learnServerTime(data.server_us);
      handlers.connection(true, heardMs, false);
      handlers[name]?.(data);
    });
  }
  source.addEventListener("error", () => {
    handlers.connection(false, heardMs, false);
    // The browser reconnects by itself, except after a refusal.
    if (source.readyState === EventSource.CLOSED) reopen(handlers);
  });
}

async function reopen(handlers) {
  if (reopening) return;
  reopening = true;
  source.close();
  await new Promise((resolve) => setTimeout(resolve, REOPEN_MS));
  const answer = await get("/session/state");
  reopening = false;
  if (answer.status === 401) return signedOut(handlers);
  heardMs = Math.max(heardMs, Date.now() - SILENCE_MS / 2);
  open(handlers);
}

function signedOut(handlers) {
  source.close();
  heardMs = Number.MAX_SAFE_INTEGER; // nothing to reopen until somebody signs in
  handlers.connection(false, Date.now(), true);
}
