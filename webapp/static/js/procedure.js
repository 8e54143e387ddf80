// The home's procedure: steps with the keys 1 to 9, ticked on the server.

import { byId, h } from "./dom.js";

let drawn = "";
let onTick = () => {};

export function setUp(tick) {
  onTick = tick;
}

export function draw(alarm, steps, mine) {
  const state = JSON.stringify([alarm.alarm_id, alarm.steps_done, steps, mine]);
  if (state === drawn) return;
  drawn = state;
  const focused = document.activeElement?.dataset?.step;
  byId("procedure").replaceChildren(...steps.map((words, i) => {
    const box = h("input", { type: "checkbox", checked: alarm.steps_done.includes(i), disabled: !mine, "data-step": String(i) });
    box.addEventListener("click", (event) => {
      event.preventDefault(); // ticked when the server has it
      onTick(i);
    });
    return h("li", {}, h("label", {}, box, h("kbd", {}, String(i + 1)), h("span", {}, words)));
  }));
  if (focused) byId("procedure").querySelector(`[data-step="${focused}"]`)?.focus();
}
