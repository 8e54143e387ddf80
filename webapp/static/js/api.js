// Requests to the console's server. The answer says what happened; nothing is assumed.

const TIMEOUT_MS = 8000;
const UNKNOWN = "No answer from the server. It is not known whether this was done.";

async function request(path, options, timeoutMs = TIMEOUT_MS) {
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(timeoutMs) });
    const data = response.status === 204 ? {} : await response.json();
    return { ok: response.ok, status: response.status, data, error: response.ok ? "" : data.error || UNKNOWN };
  } catch {
    return { ok: false, status: 0, data: {}, error: UNKNOWN };
  }
}

export const get = (path, timeoutMs) => request(path, {}, timeoutMs);

export const post = (path, body = {}) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.csrf },
    body: JSON.stringify(body),
  });
