/** The page as a whole: which view is shown, and what they share. */

import * as search from "./search/search.js";
import { goTo, readAddress } from "./shared/address.js";
import { byId } from "./shared/dom.js";
import { watchFiles } from "./shared/files.js";
import { isWanted, keptKey } from "./shared/kept-key.js";
import { askForKey, watchKey } from "./shared/key.js";
import * as adding from "./views/adding.js";
import * as detection from "./views/detection.js";
import * as health from "./views/health.js";

const views = { search, add: adding, detect: detection, health };

search.setUp({ detect, add: () => go({ view: "add" }) });
adding.setUp();
detection.setUp();
health.setUp();
watchKey();
watchFiles((files) => views[readAddress().view].take?.(files));
for (const link of document.querySelectorAll("[data-view], [data-home]")) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    go({ view: link.dataset.view ?? "search" });
  });
}
addEventListener("popstate", () => show({ isMoved: false }));
if (isWanted() && !keptKey()) await askForKey("");
show({ isMoved: false });

/** Go to a view. */
function go(given) {
  goTo(given);
  show({ isMoved: true });
}

/** Detect in an image of the index. */
function detect(image) {
  detection.detectIn(image); // which notes how far was looked through
  reveal("detect", true);
}

function show({ isMoved }) {
  const { view } = readAddress();
  reveal(view, isMoved);
  if (view !== "search") scrollTo(0, 0);
  views[view].open();
}

/** Show a view; a person who went there finds the focus at its beginning. */
function reveal(view, isMoved) {
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = section.id !== view;
  }
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${byId(view).dataset.title} · Image search`;
  byId("details").close();
  if (!isMoved) return;
  scrollTo(0, 0);
  if (view === "search") byId("words").focus();
  else byId(view).querySelector("h1").focus();
}
