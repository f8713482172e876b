/** The grid of what was found. */

import { byId, make } from "../shared/dom.js";
import { nameOf, thumbnail } from "../shared/pictures.js";

/**
 * Show images, after those that are there; of one that is there already nothing more.
 *
 * @param {object[]} images - `{id, url, score?, metadata}`.
 * @param {{open: Function, like: Function}} acts - what its buttons do with an image.
 */
export function append(images, acts) {
  const there = new Set([...byId("grid").children].map(({ dataset }) => dataset.id));
  const fresh = images.filter(({ id }) => !there.has(id));
  byId("grid").append(...fresh.map((image) => card(image, acts)));
}

/** Show nothing. */
export function clear() {
  byId("grid").replaceChildren();
}

/** How many images are shown. */
export function count() {
  return byId("grid").childElementCount;
}

/** Put the focus on the image at a place, as after "Show more". */
export function focusAt(place) {
  byId("grid").children[place]?.querySelector("button").focus();
}

function card(image, { open, like }) {
  const name = nameOf(image);
  const tile = make(
    "button",
    { type: "button", class: "tile", "aria-label": `Details of ${short(name)}`, onclick: () => open(image) },
    thumbnail(image.id, ""),
  );
  const more = make(
    "button",
    { type: "button", class: "plain", "aria-label": `More like ${short(name)}`, onclick: () => like(image) },
    "More like this",
  );
  return make("li", { class: "card", "data-id": image.id }, tile, make("div", { class: "card-foot" }, score(image), more));
}

/** A label is read aloud: no name needs to be read for minutes. */
function short(name) {
  return name.length > 80 ? `${name.slice(0, 80)}…` : name;
}

function score({ score: value }) {
  if (typeof value !== "number") return make("span", {});
  return make("span", { class: "score", title: "Cosine similarity" }, value.toFixed(2));
}
