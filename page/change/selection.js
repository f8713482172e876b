/** Selecting some of the pictures that are shown, to change or delete them together. */

import { byId } from "../shared/dom.js";
import * as grid from "../search/grid.js";

let isOn = false;
let last = null;

/**
 * Make it work.
 *
 * @param {{change: Function, remove: Function}} acts - called with the images that are selected.
 */
export function setUp({ change, remove }) {
  byId("select").addEventListener("click", () => (isOn ? end() : begin()));
  byId("selected-all").addEventListener("click", () => all());
  byId("selected-change").addEventListener("click", () => change(images()));
  byId("selected-delete").addEventListener("click", () => remove(images()));
  byId("selected-end").addEventListener("click", () => leave());
  document.addEventListener("keydown", ({ key }) => {
    if (isOn && key === "Escape" && !document.querySelector("dialog[open]")) leave();
  });
}

/** Whether a picture that is pressed is selected, and not opened. */
export function isSelecting() {
  return isOn;
}

/** Select a card, or not any more; with `isRange` all from the last one on. */
export function press(card, isRange) {
  const cards = grid.cards();
  const [from, to] = [cards.indexOf(last), cards.indexOf(card)].sort((one, other) => one - other);
  if (isRange && from >= 0) cards.slice(from, to + 1).forEach((one) => mark(one, true));
  else mark(card, !isMarked(card));
  last = card;
  say();
}

/** Let the cards that have come be selected, too. */
export function dress() {
  for (const card of isOn ? grid.cards() : []) if (isMarked(card) === null) mark(card, false);
  say();
}

/** Select nothing any more. */
export function end() {
  isOn = false;
  last = null;
  for (const tile of byId("grid").querySelectorAll("[aria-pressed]")) {
    tile.removeAttribute("aria-pressed");
    grid.nameTile(tile);
  }
  show();
}

function begin() {
  isOn = true;
  show();
  dress();
}

function leave() {
  end();
  byId("select").focus();
}

function show() {
  byId("select").textContent = isOn ? "Done" : "Select";
  byId("selected-bar").hidden = !isOn;
  byId("grid").classList.toggle("selecting", isOn);
}

function images() {
  return grid.cards().filter(isMarked).map(grid.imageOf);
}

function all() {
  const isWhole = images().length === grid.count();
  grid.cards().forEach((card) => mark(card, !isWhole));
  say();
}

/** Whether a card is selected; null where it cannot be. */
function isMarked(card) {
  const pressed = grid.tileOf(card).getAttribute("aria-pressed");
  return pressed && pressed === "true";
}

function mark(card, is) {
  const tile = grid.tileOf(card);
  tile.setAttribute("aria-pressed", String(is));
  grid.nameTile(tile);
}

function say() {
  const count = images().length;
  byId("selected-count").textContent = `${count.toLocaleString("en")} selected`;
  byId("selected-change").disabled = byId("selected-delete").disabled = count === 0;
}
