/** What was just done, at the foot of the window, with a way back. It stays until something else is. */

import { byId, foreign, make } from "../shared/dom.js";

/**
 * Tell it.
 *
 * @param {string} text - what was done.
 * @param {{label: string, act: Function}} [step] - what can be done about it. While its promise is
 *   pending the button waits; what goes wrong is told in the place of this.
 */
export function tell(text, step) {
  const away = make(
    "button",
    { type: "button", class: "plain", "aria-label": "Dismiss", onclick: () => hush() },
    "×",
  );
  const buttons = step ? [buttonOf(step), away] : [away];
  byId("toast").replaceChildren(make("div", { class: "toast" }, make("p", {}, foreign(text)), ...buttons));
}

/** Take it away. */
export function hush() {
  byId("toast").replaceChildren();
}

function buttonOf({ label, act }) {
  const button = make("button", { type: "button", class: "step" }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      tell(error.message);
    }
  });
  return button;
}
