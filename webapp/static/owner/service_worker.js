// BUILD and KEPT are written before this line by the server (webapp/owner.py).
// Keeps the app's own files for a start without a network, and shows pushes: always, also while the app is
// in front, because an alarm must not depend on which window that is.

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(BUILD).then((cache) => cache.addAll(KEPT)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== BUILD) await caches.delete(name);
    await self.clients.claim();
  })());
});

// The network first for the page, so that a new build is seen; what is named by the build from here.
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (event.request.mode === "navigate") event.respondWith(page(event.request));
  else if (KEPT.includes(url.pathname)) event.respondWith(kept(event.request, url.pathname));
});

async function page(request) {
  const cache = await caches.open(BUILD);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(3000) });
    if (answer.ok) return answer;
  } catch { /* no network: what is kept */ }
  return (await cache.match("/owner/")) ?? Response.error();
}

async function kept(request, path) {
  const cache = await caches.open(BUILD);
  return (await cache.match(path)) ?? fetch(request);
}

self.addEventListener("push", (event) => {
  const said = read(event.data);
  event.waitUntil(self.registration.showNotification(said.title, {
    body: said.body,
    tag: said.tag,
    renotify: true,
    requireInteraction: said.category === "life" || said.category === "intrusion",
    silent: false,
    lang: said.language,
    icon: "/static/owner/icon-192.png",
    badge: "/static/owner/icon-192.png",
    data: { alarm: said.tag, home: said.home_id },
  }));
});

// A push that cannot be read is still an alarm.
function read(data) {
  try {
    const said = data.json().data;
    if (typeof said.title === "string" && typeof said.body === "string" && said.tag) return said;
  } catch { /* below */ }
  return { title: "Hearthwatch", body: "Please look at your home. · Bitte jetzt nachsehen.", tag: "unread", category: "life", language: "en" };
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil((async () => {
    const [open] = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    if (open) return open.focus();
    return self.clients.openWindow("/owner/");
  })());
});
