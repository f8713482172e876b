/** The grid of what was found: one picture is reached by Tab, the others from it by the arrow keys. */

import { byId, make } from "../shared/dom.js";
import { nameOf, thumbnail } from "../shared/pictures.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const images = new Map(); // by id

/** Make the keyboard work. */
export function setUp() {
  byId("grid").addEventListener("focusin", ({ target }) => reach(target.closest(".card")));
  byId("grid").addEventListener("keydown", (event) => {
    const to = placeAfter(event.key, event.target.closest(".card"));
    if (to === null || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    focusAt(to);
  });
}

/**
 * Show images, after those that are there; of one that is there already nothing more.
 *
 * @param {object[]} found - `{id, url, score?, metadata, group_size?}`.
 * @param {{open: Function, like: Function, unfold: Function}} acts - what a picture does when it is
 *   pressed, with its card and whether Shift was held; what "More like this" and "n more" of its
 *   group do, with the image.
 */
export function append(found, acts) {
  const fresh = found.filter(({ id }) => !images.has(id));
  for (const image of fresh) images.set(image.id, image);
  byId("grid").append(...fresh.map((image) => card(image, acts)));
  if (!byId("grid").querySelector("[tabindex='0']")) reach(cards()[0]);
}

/** Show nothing. */
export function clear() {
  images.clear();
  byId("grid").replaceChildren();
}

/** The cards that are shown, in their order. */
export function cards() {
  return [...byId("grid").children].filter((one) => !one.hidden);
}

/** How many images are shown. */
export function count() {
  return cards().length;
}

/** The image of a card. */
export function imageOf({ dataset }) {
  return images.get(dataset.id);
}

/** The button that is a card's picture. */
export function tileOf(card) {
  return card.querySelector(".tile");
}

/** Know images as they are now. */
export function renew(changed) {
  for (const image of changed) {
    if (images.has(image.id)) images.set(image.id, { ...images.get(image.id), ...image });
  }
}

/** Show these images no more, or again; the focus goes to what stands in the place of the first. */
export function hide(ids, isGone) {
  const some = [...byId("grid").children].filter(({ dataset }) => ids.includes(dataset.id));
  const place = cards().findIndex((card) => some.includes(card));
  for (const card of some) card.hidden = isGone;
  const next = isGone ? cards()[place] ?? cards().at(-1) : some[0];
  reach(next);
  if (next) tileOf(next).focus({ preventScroll: true });
}

/** Put the focus on the image at a place, as after "Show more". */
export function focusAt(place) {
  cards()[place]?.querySelector("button").focus();
}

/** Let Tab reach this card, and of the others none. */
function reach(card) {
  for (const button of byId("grid").querySelectorAll("[tabindex='0']")) button.tabIndex = -1;
  for (const button of card?.querySelectorAll("button") ?? []) button.tabIndex = 0;
}

/** Where a key leads from a card; null where it leads nowhere. */
function placeAfter(key, from) {
  const all = cards();
  const place = all.indexOf(from);
  if (place < 0) return null;
  if (key === "Home") return 0;
  if (key === "End") return all.length - 1;
  const row = all.filter((one) => one.offsetTop === all[0].offsetTop).length;
  const step = { ...STEPS, ArrowUp: -row, ArrowDown: row }[key];
  return step && all[place + step] ? place + step : null;
}

function card(image, { open, like, unfold }) {
  const name = short(nameOf(image));
  const button = (own, ...shown) => make("button", { type: "button", tabindex: -1, ...own }, ...shown);
  const press = ({ currentTarget, shiftKey }) => open(currentTarget.closest(".card"), shiftKey);
  const tile = button({ class: "tile", "data-name": name, onclick: press }, thumbnail(image.id, "", objectsOf(image)));
  nameTile(tile);
  const others = (image.group_size ?? 1) - 1;
  const group = others
    ? [button({ class: "others", onclick: () => unfold(image) }, `${others.toLocaleString("en")} more`)]
    : [];
  const more = button(
    { class: "plain", "aria-label": `More like ${name}`, onclick: () => like(image) },
    "More like this",
  );
  const foot = make("div", { class: "card-foot" }, score(image), more);
  return make("li", { class: "card", "data-id": image.id }, tile, ...group, foot);
}

/** The objects that an image was found by. */
function objectsOf({ object, objects }) {
  return (objects ?? (object ? [object] : [])).map(({ n }) => n);
}

/** What a press does is in its label; one that is selected or not says that of itself. */
export function nameTile(tile) {
  const isSelectable = tile.hasAttribute("aria-pressed");
  tile.setAttribute("aria-label", isSelectable ? tile.dataset.name : `Details of ${tile.dataset.name}`);
}

/** A label is read aloud: no name needs to be read for minutes. */
function short(name) {
  return name.length > 80 ? `${name.slice(0, 80)}…` : name;
}

function score({ score: value }) {
  if (typeof value !== "number") return make("span", {});
  return make("span", { class: "score", title: "Cosine similarity" }, value.toFixed(2));
}

/** How far the grid was looked through: `y` is how much of it is above the window, 0 of an unscrolled page. */
export function place() {
  return { shown: count(), y: scrollY && -byId("grid").getBoundingClientRect().top };
}

/** Scroll to where a `place` was, whatever stands above the grid meanwhile. */
export function scrollBackTo(y) {
  if (y) scrollBy(0, byId("grid").getBoundingClientRect().top + y);
}
