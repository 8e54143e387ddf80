// What every page has in its frame: the theme and the way out.

import { post } from "./api.js";
import { byId } from "./dom.js";

let sayFailure = (error) => window.alert(error);
export const signOutFailed = (say) => (sayFailure = say);

byId("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  const https = location.protocol === "https:";
  document.cookie = `${https ? "__Host-" : ""}theme=${theme}; path=/; max-age=31536000; samesite=strict${https ? "; secure" : ""}`;
});

byId("sign-out").addEventListener("click", async () => {
  const answer = await post("/session/end");
  if (answer.ok || answer.status === 401) location.replace("/sign-in");
  else sayFailure(answer.error);
});
