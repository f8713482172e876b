/** What a search found: the grid, its title, and the way on. */

import { byId, counted, foreign, notice } from "../shared/dom.js";
import * as grid from "./grid.js";

const NEAR_PX = 600;
let pages = null;
let asked = null;
let running = new AbortController();
/** The place of the first image that a person has asked for and that has not come yet. */
let awaited = null;
let acts;

/**
 * Make it work.
 *
 * @param {object} given - what buttons do: those of a picture (`like`, `open`, `unfold`), `again` after a
 *   failure, `add` where the index is empty, `whole` where what fits badly is wanted, too. `shown` is
 *   called when pictures have come.
 */
export function setUp(given) {
  acts = given;
  byId("more").addEventListener("click", () => {
    awaited ??= grid.count();
    showMore({ isPressed: true });
  });
  byId("rest").addEventListener("click", async () => {
    const place = grid.count();
    await acts.whole();
    grid.focusAt(place);
  });
  const near = new IntersectionObserver(
    (entries) => entries.some((one) => one.isIntersecting) && showMore({ isPressed: false }),
    { rootMargin: `${NEAR_PX}px` },
  );
  near.observe(byId("more"));
}

/**
 * Show the first page of a search.
 *
 * @param {object} search - what is searched for, and whether under filters (`isFiltered`).
 * @param {Function} begun - gives its pages, or throws what is in the way.
 */
export async function show(search, begun) {
  for (const notices of ["search-notice", "more-notice"]) byId(notices).replaceChildren();
  byId("grid").classList.add("outdated");
  awaited = null;
  const work = async (signal) => {
    const fresh = begun();
    const images = await fresh.next(signal);
    [pages, asked] = [fresh, search];
    grid.clear();
    append(images);
  };
  await run(work, complain);
}

/** The pages that are shown; others, once another search is. */
export function current() {
  return pages;
}

/** So many of the images are gone from the index; back again, where the number is below zero. */
export function forget(count) {
  pages.forget(count);
  told();
  fill();
}

/** The next page, when its button is pressed or comes near. */
async function showMore({ isPressed }) {
  const hasFailed = byId("more-notice").childElementCount > 0;
  if (isBusy() || byId("more").hidden || (hasFailed && !isPressed)) return;
  const work = async (signal) => {
    append(await pages.next(signal));
    if (awaited !== null) grid.focusAt(awaited);
    awaited = null;
  };
  await run(work, complainBelow);
}

function isBusy() {
  return byId("grid").hasAttribute("aria-busy");
}

/** Do one thing at a time: a newer search ends the older one. */
async function run(work, failed) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  byId("grid").setAttribute("aria-busy", "true");
  try {
    await work(signal);
  } catch (error) {
    if (error.name !== "AbortError") failed(error.message);
  }
  if (signal.aborted) return;
  byId("grid").removeAttribute("aria-busy");
  byId("grid").classList.remove("outdated");
  fill();
}

/** A window may be taller than a page of results: the button is near without being scrolled there. */
function fill() {
  const more = byId("more");
  const isShown = more.offsetParent !== null;
  const { top } = more.getBoundingClientRect();
  if (isShown && top < innerHeight + NEAR_PX) showMore({ isPressed: false });
}

function append(images) {
  byId("more-notice").replaceChildren();
  grid.append(images, acts);
  acts.shown();
  byId("more").hidden = pages.isOver;
  told();
}

/** Say what is shown, how much of it there is, and whether anything was left out. */
function told() {
  const { isRanked, isOver, total } = pages;
  const shown = grid.count();
  const isCut = isRanked && isOver && shown > 0 && shown < total && !asked.isWhole;
  byId("found-title").replaceChildren(...titleOf(asked, total));
  byId("found-count").textContent = isRanked && isOver ? countOf(shown, total) : "";
  byId("rest-row").hidden = !isCut;
  byId("search-status").textContent = `${counted(shown, "picture")} shown.`;
  byId("search-notice").replaceChildren();
  if (shown === 0 && isOver) nothing();
}

function titleOf({ words, url, id, file, sort, region, object, isFiltered }, total) {
  const parts = [];
  if (url || id || file) parts.push(region || object ? "Like this object" : "Like this picture");
  if (words) parts.push(parts.length ? " and “" : "“", foreign(words), "”");
  if (parts.length) return parts;
  return [`${sort ? "" : "Newest of "}${counted(total, "picture")}${isFiltered ? " that match" : ""}`];
}

function countOf(shown, total) {
  return shown < total ? `${shown.toLocaleString("en")} of ${counted(total, "picture")}` : counted(total, "picture");
}

function nothing() {
  const [title, text, step] = whyNothing();
  byId("found-title").replaceChildren(title);
  byId("found-count").textContent = "";
  byId("search-notice").replaceChildren(notice(text, step));
}

function whyNothing() {
  if (pages.total > 0) return ["Nothing left", "What was found here is deleted."];
  if (asked.isFiltered) {
    return ["Nothing matches", "No picture matches these filters. Take one away, or change it."];
  }
  const text = "The index is empty. Add some pictures, and they are found here.";
  return ["No pictures yet", text, { label: "Add pictures", act: acts.add }];
}

/** Say that a search failed, in place of what it would have found. */
export function complain(message) {
  byId("found-title").replaceChildren("That did not work");
  byId("found-count").textContent = byId("search-status").textContent = "";
  const again = { label: "Try again", act: acts.again };
  byId("search-notice").replaceChildren(notice(message, again, "error"));
  byId("more").hidden = byId("rest-row").hidden = true;
  grid.clear();
}

/** What is shown stays: only the next page is missing. */
function complainBelow(message) {
  byId("more-notice").replaceChildren(notice(message, undefined, "error"));
}
