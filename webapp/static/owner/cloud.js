// Firebase: sign-in, live documents under rules, and the four things that an owner may write.

import { initializeApp } from "/owner/sdk/firebase-app.js";
import {
  browserLocalPersistence, connectAuthEmulator, indexedDBLocalPersistence, initializeAuth, onIdTokenChanged,
  signInWithEmailAndPassword, signOut,
} from "/owner/sdk/firebase-auth.js";
import {
  clearIndexedDbPersistence, collection, connectFirestoreEmulator, doc, getDoc, initializeFirestore, limit,
  onSnapshot, orderBy, persistentLocalCache, persistentMultipleTabManager, query, runTransaction, serverTimestamp, setDoc,
  terminate,
} from "/owner/sdk/firebase-firestore.js";

const TOLD_SHOWN = 30;
let auth, db, app;

export function connect(settings) {
  app = initializeApp(settings.firebase);
  auth = initializeAuth(app, { persistence: [indexedDBLocalPersistence, browserLocalPersistence] });
  if (settings.auth_emulator) connectAuthEmulator(auth, `http://${settings.auth_emulator}`, { disableWarnings: true });
  // The last known state is there without a network, and stays on this phone only until sign-out.
  db = initializeFirestore(app, { localCache: persistentLocalCache({ tabManager: persistentMultipleTabManager() }) });
  if (settings.firestore_emulator) {
    const [host, port] = settings.firestore_emulator.split(":");
    connectFirestoreEmulator(db, host, Number(port));
  }
  return app;
}

// Calls back with {user, homes} or null, now and whenever it changes.
export function onAccount(callback) {
  return onIdTokenChanged(auth, async (user) => {
    if (!user) return callback(null);
    try {
      const { claims } = await user.getIdTokenResult();
      callback({ user: user.uid, email: user.email, homes: claims.role === "owner" ? claims.homes ?? [] : [] });
    } catch { // signed in, and no network: what was known is shown
      callback({ user: user.uid, email: user.email, homes: null });
    }
  });
}

export const signIn = (email, password) => signInWithEmailAndPassword(auth, email, password);
export const idToken = () => auth.currentUser.getIdToken();

export async function leave() {
  await signOut(auth);
  await terminate(db);
  await clearIndexedDbPersistence(db);
}

// Follows a home. `on` is called with (name, data, {fromServer}); returns a function that ends it.
export function follow(home, on, failed) {
  const options = { includeMetadataChanges: true };
  const one = (name, reference) =>
    onSnapshot(reference, options, (found) => on(name, found.data() ?? null, { fromServer: !found.metadata.fromCache }), failed);
  const told = query(collection(db, "homes", home, "told"), orderBy("opened_us", "desc"), limit(TOLD_SHOWN));
  const ends = [
    one("home", doc(db, "homes", home)),
    one("live", doc(db, "homes", home, "live", "sensors")),
    one("about", doc(db, "directory", home)),
    one("path", doc(db, "operations", "path")),
    onSnapshot(told, options, (found) => on("told", found.docs.map((d) => d.data()), { fromServer: !found.metadata.fromCache }), failed),
  ];
  return () => ends.forEach((end) => end());
}

const ours = (home, user) => ({ schema_version: 1, home_id: home, user });

export const addressOf = async (home) => (await getDoc(doc(db, "directory", home))).data()?.address;

export const watch = (home) => setDoc(doc(db, "watching", home), { schema_version: 1, home_id: home, renewed_at: serverTimestamp() });

// In a transaction, which fails without a network: a cry for help must not be sent hours later.
export async function say(home, user, alarm, kind, note) {
  const reference = doc(db, "homes", home, "said", `${alarm}~${kind}~${user}`);
  await runTransaction(db, async (transaction) => {
    transaction.set(reference, { ...ours(home, user), alarm_id: alarm, kind, note, said_at: serverTimestamp(), taken: false });
  }, { maxAttempts: 1 });
}

export async function choices(home, user) {
  const found = await getDoc(doc(db, "homes", home, "choices", user));
  return found.data() ?? { quiet_from: "", quiet_to: "", troubles: true, handling: true };
}

export async function choose(home, user, wanted) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const fields = { ...ours(home, user), ...wanted, zone, updated_at: serverTimestamp() };
  const reference = doc(db, "homes", home, "choices", user);
  await runTransaction(db, async (transaction) => { transaction.set(reference, fields); });
}

export async function register(home, user, id, device) {
  const reference = doc(db, "homes", home, "devices", id);
  const fields = { ...ours(home, user), ...device, updated_at: serverTimestamp() };
  await runTransaction(db, async (transaction) => { transaction.set(reference, fields); });
}

// In a transaction, which fails without a network: else it would wait for one, and sign-out with it.
export async function unregister(home, id) {
  const reference = doc(db, "homes", home, "devices", id);
  await runTransaction(db, async (transaction) => { transaction.delete(reference); }, { maxAttempts: 1 });
}
export const firebaseApp = () => app;
