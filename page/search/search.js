/** Search: by words, by a picture, by filters, or by nothing, which shows the newest. */

import { remove as deleteImages } from "../change/deleting.js";
import { edit } from "../change/metadata.js";
import * as selecting from "../change/selection.js";
import { notedPlace, readAddress, watchPlace, writeAddress } from "../shared/address.js";
import { byId, foreign, make } from "../shared/dom.js";
import { firstPicture } from "../shared/files.js";
import { nameOf, ownPicture, thumbnail } from "../shared/pictures.js";
import { flat } from "../shared/values.js";
import { openDetails } from "./details.js";
import { Filters } from "./filters.js";
import * as grid from "./grid.js";
import { Pages } from "./pages.js";
import { choosePart } from "./parts.js";
import { CLASSES, filterOf, isAddress, isForObjects, isList } from "./query.js";
import * as results from "./results.js";
import * as sorting from "./sorting.js";

const NO_PICTURE = { url: "", id: "", file: null, region: "", object: "" };
const asked = { words: "", ...NO_PICTURE, sort: "", group: "", where: "", isWhole: false };
let filters;
/** Settles once the columns are known, and whether there are objects. */
let known = Promise.resolve();

/** Make the view work. `detect` opens the detection of an image, `add` the view for adding. */
export function setUp({ detect, add }) {
  filters = new Filters(() => search());
  sorting.setUp((changed) => look(changed));
  grid.setUp();
  watchPlace(grid.place);
  selecting.setUp({ change, remove });
  const hasObjects = () => known.then(() => filters.hasObjects);
  const details = { like, likeObject, hasObjects, detect, change: (one) => change([one]), remove: (one) => remove([one]) };
  results.setUp({
    like,
    add,
    unfold,
    open: (card, isRange) =>
      selecting.isSelecting()
        ? selecting.press(card, isRange)
        : openDetails(grid.imageOf(card), details),
    again: () => show(),
    whole: () => look({ isWhole: true }),
    shown: () => selecting.dress(),
  });
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(byId("words").value.trim());
  });
  byId("only-best").addEventListener("click", () => look({ isWhole: false }));
  byId("where").addEventListener("change", ({ target }) => look({ where: target.value }));
  for (const [button, input] of [["pick-query", "query-file"], ["take-query", "query-camera"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", ({ target }) => {
      take([...target.files]);
      target.value = "";
    });
  }
}

/** Show what the address asks for, as far as it was looked through. */
export async function open() {
  const { view: _, selection, ...rest } = readAddress();
  Object.assign(asked, rest);
  byId("words").value = asked.words;
  filters.select(selection);
  const { shown, y } = notedPlace();
  await show(shown);
  grid.scrollBackTo(y);
}

/** Search with the first picture among some files. */
export function take(files) {
  const file = firstPicture(files);
  if (file) lookAnew({ file });
  else results.complain("That is no picture.");
}

/** Search for images like one of the index. */
export function like({ id }) {
  byId("words").value = "";
  lookAnew({ words: "", id });
}

/** Search for objects like one in an image of the index. */
function likeObject({ id }, n) {
  byId("words").value = "";
  lookAnew({ words: "", id, object: String(n) });
}

/** Show the whole group of an image, in place of it alone. */
function unfold({ metadata }) {
  const { group } = asked;
  const { value } = flat(metadata).find(({ key }) => key === group);
  const one = typeof value === "number" ? { from: String(value), to: String(value) } : { values: [value] };
  filters.select({ ...filters.selection, [group]: one });
  look({ group: "" });
}

function submit(text) {
  if (!isAddress(text)) {
    look({ words: text, isWhole: false });
    return;
  }
  byId("words").value = "";
  lookAnew({ words: "", url: text });
}

/** Look for another picture than before, from the top. */
function lookAnew(changed) {
  const found = look({ ...NO_PICTURE, isWhole: false, ...changed });
  scrollTo(0, 0);
  return found;
}

function look(changed) {
  Object.assign(asked, changed);
  return search();
}

function search() {
  selecting.end();
  writeAddress({ view: "search", ...asked, selection: filters.selection });
  return find();
}

/** Show what is asked for, of a table that may have other columns than before. */
async function show(shown) {
  selecting.end(); // at once: whoever selects while the columns are on their way goes on selecting
  known = filters.load().then(() => offer());
  if (isFiltered()) await known; // a filter needs the columns' types
  await find(shown);
}

function isFiltered() {
  return Object.keys(filters.selection).length > 0;
}

async function find(shown) {
  offer();
  filters.count();
  byId("only-best").hidden = !asked.isWhole || isList(asked);
  // Among objects nothing is left out.
  const isWhole = asked.isWhole || isForObjects(asked);
  await results.show({ ...asked, isWhole, isFiltered: isFiltered() }, () => {
    filters.check();
    return new Pages(asked, filterOf(filters.selection, filters.types), shown);
  });
}

/** Change the metadata of some images. */
function change(images) {
  return edit(images, (changed) => {
    grid.renew(changed);
    selecting.end();
    recount();
  });
}

/** Delete some images; they come back where they were, if the same search is still shown. */
function remove(images) {
  const search = results.current();
  const turn = (isGone) => (ids) => {
    recount();
    selecting.end();
    if (results.current() !== search) return find();
    grid.hide(ids, isGone);
    return results.forget(isGone ? ids.length : -ids.length);
  };
  return deleteImages(images, { gone: turn(true), back: turn(false) });
}

/** The table has changed, and with it the numbers beside the filters. */
async function recount() {
  await filters.load();
  await filters.count();
}

function offer() {
  const columns = filters.columns.filter(({ type }) => type !== CLASSES);
  sorting.show(columns, asked, !isList(asked));
  const isPart = Boolean(asked.region || asked.object);
  byId("where-order").hidden = !filters.hasObjects || isList(asked) || isPart;
  byId("where").value = asked.where;
  for (const name of ["sort", "group"]) byId(name).disabled = isForObjects(asked) && !isList(asked);
  showPicture();
}

/** The picture that is searched with, with a button that takes it away. */
function showPicture() {
  const { url, id, file, region, object } = asked;
  const chip = byId("query-picture");
  chip.hidden = !(url || id || file);
  if (chip.hidden) return;
  const drawn = object ? [Number(object)] : [];
  const shownPicture = file ? [ownPicture(file, "")] : id ? [thumbnail(id, "", drawn)] : [];
  const whole = file ? file.name || "Pasted picture" : id ? "A picture of the index" : nameOf({ url });
  const name = region ? `A part of ${whole}` : object ? "An object of the index" : whole;
  const away = make(
    "button",
    { type: "button", class: "plain", onclick: () => lookAnew({}) },
    "Remove",
  );
  chip.replaceChildren(...shownPicture, foreign(name), ...partButtons(), away);
}

/** What leads from a picture to a part of it, and back. */
function partButtons() {
  const { url, file, region, object } = asked;
  const button = (label, act) => make("button", { type: "button", class: "plain", onclick: act }, label);
  if (region || object) return [button("Whole picture", () => look({ region: "", object: "" }))];
  if (!filters.hasObjects || !(url || file)) return [];
  const chosen = (part) => look({ region: part.map((edge) => edge.toFixed(2)).join(), where: "" });
  return [button("Choose a part", () => choosePart({ url, file }, chosen))];
}
