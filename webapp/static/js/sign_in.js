// The password goes to Firebase Auth only; this console's server sees the token that comes back.

import { post } from "./api.js";
import { byId } from "./dom.js";

const { identityUrl, apiKey } = document.body.dataset;
const REASONS = {
  USER_DISABLED: "This account is disabled.",
  TOO_MANY_ATTEMPTS_TRY_LATER: "Too many attempts. Wait a few minutes.",
};

async function tokenFor(email, password) {
  const response = await fetch(`${identityUrl}/v1/accounts:signInWithPassword?key=${encodeURIComponent(apiKey)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password, returnSecureToken: true }),
    signal: AbortSignal.timeout(10000),
  });
  const answer = await response.json();
  if (response.ok) return answer.idToken;
  const code = String(answer.error?.message ?? "").split(" ")[0];
  throw new Error(REASONS[code] ?? "E-mail or password is wrong.");
}

async function signIn(form) {
  let token;
  try {
    token = await tokenFor(form.email.value, form.password.value);
  } catch (error) {
    // fetch itself fails with a TypeError or a timeout: that is no verdict on the password
    return error.constructor === Error ? error.message : "The sign-in service does not answer.";
  }
  const answer = await post("/session", { id_token: token });
  if (!answer.ok) return answer.error;
  location.replace(answer.data.page);
  return "";
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  byId("outcome").textContent = "";
  button.disabled = true;
  button.textContent = "Signing in…";
  byId("outcome").textContent = await signIn(form);
  button.disabled = false;
  button.textContent = "Sign in";
});
