/** Asking for the API key, where the service wants one. */

import { byId } from "./dom.js";
import { keepKey, keptKey } from "./kept-key.js";

let asking = null;

/**
 * Ask for a key; done when there is one. All who need it wait for the same dialog.
 *
 * @param {string} tried - the key that was refused, or "".
 */
export function askForKey(tried) {
  if (keptKey() !== tried) return Promise.resolve(); // given meanwhile
  if (tried) {
    keepKey("");
    byId("key-message").textContent = "The service does not take this key. Give another one.";
  }
  asking ??= answered().finally(() => {
    asking = null;
  });
  return asking;
}

/** Show the button that forgets the key, while there is one. */
export function watchKey() {
  const lock = byId("forget-key");
  lock.hidden = !keptKey();
  lock.addEventListener("click", () => {
    keepKey("");
    location.reload();
  });
}

function answered() {
  const dialog = byId("key-dialog");
  // There is nothing behind it to go back to; a browser closes it all the same if Escape is insisted on.
  dialog.oncancel = (event) => event.preventDefault();
  dialog.onclose = () => keptKey() || dialog.showModal();
  dialog.showModal();
  byId("key").focus();
  return new Promise((resolve) => {
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      keepKey(byId("key").value.trim());
      if (!keptKey()) return;
      byId("key").value = "";
      byId("forget-key").hidden = false;
      dialog.close();
      resolve();
    };
  });
}
