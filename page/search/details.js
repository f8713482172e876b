/** Everything that is known of an image, in a dialog. */

import { get } from "../shared/api.js";
import { byId, foreign, make, moment } from "../shared/dom.js";
import { nameOf, original } from "../shared/pictures.js";
import { flat, TEXT_KEY, textOf } from "../shared/values.js";
import { showObjects } from "./parts.js";

const FOLDED_CHARS = 240;

/**
 * Open the dialog.
 *
 * @param {object} image - `{id, url, score?, metadata, created_at?}`.
 * @param {object} acts - what can be done with it: `like`, `detect`, `change`, `remove`; and
 *   `likeObject` with one of its objects, if `hasObjects` comes to say that there are such.
 */
export function openDetails(image, { like, likeObject, hasObjects, detect, change, remove }) {
  const dialog = byId("details");
  const then = (act) => () => {
    dialog.close();
    act(image);
  };
  const end = () => dialog.close();
  const close = make("button", { type: "button", class: "plain close", onclick: end }, "Close");
  const title = make("h2", { id: "details-title" }, foreign(nameOf(image)));
  const buttons = make(
    "p",
    { class: "row" },
    make("button", { type: "button", class: "primary", onclick: then(like) }, "More like this"),
    make("button", { type: "button", onclick: then(detect) }, "Detect objects"),
  );
  const quiet = (label, act) => make("button", { type: "button", class: "plain", onclick: then(act) }, label);
  const more = make("p", { class: "row quiet" }, quiet("Change metadata", change), quiet("Delete", remove));
  const facts = make("dl", { class: "facts" }, ...factsOf(image));
  const text = make("div", { class: "details-text" }, title, buttons, facts, more);
  const shown = make("div", { class: "details-picture" }, make("div", {}, original(image, "The picture")));
  dialog.replaceChildren(make("div", { class: "details-head" }, close), shown, text);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
  dialog.scrollTop = 0;
  addWhenAdded(image, facts);
  hasObjects().then((isKnown) => {
    if (isKnown) showObjects(image.id, shown.firstChild, (n) => then(() => likeObject(image, n))());
  });
}

function factsOf({ id, url, score, metadata }) {
  return [
    ...valuesOf(metadata),
    ...(typeof score === "number" ? fact("Score", score.toFixed(4)) : []),
    ...fact("Address", link(url)),
    ...fact("Id", foreign(id)),
  ];
}

/** A value each, those of objects in it under the dotted keys that filters know. */
function valuesOf(metadata) {
  return flat(metadata).flatMap(({ key, value }) =>
    fact(key === TEXT_KEY ? "Text" : foreign(key), folded(textOf(value))),
  );
}

/** A search does not tell when an image was added; the image itself does. */
async function addWhenAdded({ id }, facts) {
  try {
    const { created_at: added } = await get(`/images/${encodeURIComponent(id)}`);
    facts.append(...fact("Added", make("time", { datetime: added }, moment(added))));
  } catch {
    // Deleted meanwhile: all the rest is shown all the same.
  }
}

function fact(name, value) {
  return [make("dt", {}, name), make("dd", {}, value)];
}

/** A long text shows its beginning, and the rest on demand. */
function folded(text) {
  if (text.length <= FOLDED_CHARS) return foreign(text);
  const beginning = `${text.slice(0, FOLDED_CHARS / 2)}… `;
  const all = make("span", { class: "count" }, `(${text.length.toLocaleString("en")} characters)`);
  return make(
    "details",
    { class: "folded" },
    make("summary", {}, foreign(beginning), all),
    foreign(text, "div"),
  );
}

/** Only a web address is a link, and it opens only where a person follows it. */
function link(url) {
  const text = folded(url);
  if (!/^https?:\/\//i.test(url) || url.length > FOLDED_CHARS) return text;
  return make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text);
}
