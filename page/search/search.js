/** Search: by words, by a picture, by filters, or by nothing, which shows the newest. */

import { readAddress, writeAddress } from "../shared/address.js";
import { get, post } from "../shared/api.js";
import { byId, counted, foreign, make, notice } from "../shared/dom.js";
import { firstPicture } from "../shared/files.js";
import { nameOf, ownPicture, thumbnail } from "../shared/pictures.js";
import { openDetails } from "./details.js";
import { Filters } from "./filters.js";
import * as grid from "./grid.js";
import { filterOf, isAddress, isUnfilterable, searchBody } from "./query.js";

const PAGE_SIZE = 24;
/** How many images of what is asked for have come; the index may change between two pages. */
let reached = 0;
const asked = { words: "", url: "", id: "", file: null };
let filters;
let running = new AbortController();
let detectIn;
let addSome;

/** Make the view work. `detect` opens the detection of an image, `add` the view for adding. */
export function setUp({ detect, add }) {
  detectIn = detect;
  addSome = add;
  filters = new Filters(() => search());
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(byId("words").value.trim());
  });
  byId("pick-query").addEventListener("click", () => byId("query-file").click());
  byId("query-file").addEventListener("change", ({ target }) => {
    take([...target.files]);
    target.value = "";
  });
  byId("more").addEventListener("click", () => showMore());
}

/** Show what the address asks for. */
export async function open() {
  const { words, url, id, selection } = readAddress();
  const file = words || url || id ? null : asked.file;
  Object.assign(asked, { words, url, id, file });
  byId("words").value = words;
  filters.select(selection);
  const known = filters.load();
  if (Object.keys(selection).length) await known; // a filter needs the columns' types
  await find();
}

/** Search with the first picture among some files. */
export function take(files) {
  const file = firstPicture(files);
  if (file) look({ file, url: "", id: "" });
  else complain("That is no picture.");
}

/** Search for images like one of the index. */
export function like({ id }) {
  byId("words").value = "";
  look({ words: "", id, url: "", file: null });
}

function submit(text) {
  if (!isAddress(text)) {
    look({ words: text });
    return;
  }
  byId("words").value = "";
  look({ words: "", url: text, id: "", file: null });
}

function look(changed) {
  Object.assign(asked, changed);
  search();
}

function search() {
  const { words, url, id } = asked;
  writeAddress({ view: "search", words, url, id, selection: filters.selection });
  find();
}

async function find() {
  showPicture();
  filters.disable(isUnfilterable(asked));
  for (const notices of ["search-notice", "more-notice"]) byId(notices).replaceChildren();
  await run(async (signal) => {
    const { images, total } = await asking(0, signal);
    grid.clear();
    reached = 0;
    title(total);
    shown(images);
    if (images.length === 0) nothing();
  });
}

async function showMore() {
  const before = grid.count();
  await run(async (signal) => {
    const { images } = await asking(reached, signal);
    shown(images);
    grid.focusAt(before);
  }, complainBelow);
}

/** Do one thing at a time: a newer search ends the older one. */
async function run(work, failed = complain) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  byId("grid").setAttribute("aria-busy", "true");
  try {
    await work(signal);
  } catch (error) {
    if (error.name !== "AbortError") failed(error.message);
  }
  if (!signal.aborted) byId("grid").removeAttribute("aria-busy");
}

/** One page of what is asked for. */
async function asking(offset, signal) {
  const page = { limit: PAGE_SIZE, offset };
  const isFiltered = !isUnfilterable(asked);
  if (isFiltered) filters.check();
  const filter = isFiltered ? filterOf(filters.selection, filters.types) : null;
  const body = searchBody(asked, filter, page);
  if (body) return { images: (await post("/search_similar_images", body, { signal })).results };
  return get(`/images?${new URLSearchParams(page)}`, { signal });
}

function shown(images) {
  byId("more-notice").replaceChildren();
  reached += images.length;
  grid.append(images, { like, open: (image) => openDetails(image, { like, detect: detectIn }) });
  byId("more").hidden = images.length < PAGE_SIZE;
  byId("search-status").textContent = `${counted(grid.count(), "picture")} shown.`;
}

function title(total) {
  const { words, url, id, file } = asked;
  const parts = [];
  if (url || id || file) parts.push("Like this picture");
  if (words) parts.push(parts.length ? " and “" : "“", foreign(words), "”");
  if (total !== undefined) parts.push(`Newest of ${counted(total, "picture")}`);
  byId("found-title").replaceChildren(...(parts.length ? parts : ["Newest that match"]));
}

function nothing() {
  const isFiltered = Object.keys(filters.selection).length > 0;
  byId("found-title").replaceChildren(isFiltered ? "Nothing matches" : "No pictures yet");
  byId("search-notice").replaceChildren(
    isFiltered
      ? notice("No picture matches these filters. Take one away, or change it.")
      : notice("The index is empty. Add some pictures, and they are found here.", {
          label: "Add pictures",
          act: addSome,
        }),
  );
}

function complain(message) {
  const again = { label: "Try again", act: () => open() };
  byId("found-title").replaceChildren("That did not work");
  byId("search-notice").replaceChildren(notice(message, again, "error"));
  byId("search-status").textContent = "";
  byId("more").hidden = true;
  grid.clear();
}

/** What is shown stays: only the next page is missing. */
function complainBelow(message) {
  byId("more-notice").replaceChildren(notice(message, undefined, "error"));
}

/** The picture that is searched with, with a button that takes it away. */
function showPicture() {
  const { url, id, file } = asked;
  const chip = byId("query-picture");
  chip.hidden = !(url || id || file);
  if (chip.hidden) return;
  const shownPicture = file ? [ownPicture(file, "")] : id ? [thumbnail(id, "")] : [];
  const name = file ? file.name || "Pasted picture" : id ? "A picture of the index" : nameOf({ url });
  const away = make(
    "button",
    { type: "button", class: "plain", onclick: () => look({ url: "", id: "", file: null }) },
    "Remove",
  );
  chip.replaceChildren(...shownPicture, foreign(name), away);
}
