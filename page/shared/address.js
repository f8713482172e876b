/** What is shown, in the page's address: so that back, reload, a bookmark and a shared link work. */

const NOTHING = {
  view: "search",
  words: "",
  url: "",
  id: "",
  selection: {},
  sort: "",
  group: "",
  where: "",
  region: "",
  object: "",
  isWhole: false,
};
const PLACES = ["objects", "both"];
const VIEWS = ["search", "add", "detect", "health"];

/** Files that were searched with: an address cannot hold one, but this tab's history can name it. */
const files = [];
let place = () => ({ shown: 0, y: 0 });

/** What the address asks for; senseless parts of it are left out. */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  const view = given.get("view");
  return {
    view: VIEWS.includes(view) ? view : "search",
    words: given.get("q") ?? "",
    url: given.get("url") ?? "",
    id: given.get("id") ?? "",
    selection: selectionIn(given.get("filter")),
    sort: given.get("sort") ?? "",
    group: given.get("group") ?? "",
    where: PLACES.includes(given.get("in")) ? given.get("in") : "",
    region: /^[0-9.]+(,[0-9.]+){3}$/.test(given.get("region") ?? "") ? given.get("region") : "",
    object: /^[0-9]{1,3}$/.test(given.get("object") ?? "") ? given.get("object") : "",
    isWhole: given.has("rest"),
    file: files[history.state?.file] ?? null,
  };
}

/** The address of what is to be shown. */
export function addressOf(given) {
  const { view, words, url, id, selection, sort, group, where, region, object, isWhole } = { ...NOTHING, ...given };
  const parameters = new URLSearchParams();
  if (view !== "search") parameters.set("view", view);
  if (words) parameters.set("q", words);
  if (url) parameters.set("url", url);
  if (id) parameters.set("id", id);
  if (Object.keys(selection).length) parameters.set("filter", JSON.stringify(selection));
  if (sort) parameters.set("sort", sort);
  if (group) parameters.set("group", group);
  if (where) parameters.set("in", where);
  if (region) parameters.set("region", region);
  if (object) parameters.set("object", object);
  if (isWhole) parameters.set("rest", "");
  const query = parameters.toString();
  return query ? `?${query}` : location.pathname;
}

/** A step that "back" takes back; where nothing changes there is none. */
export function writeAddress(given) {
  const isSame = addressOf(given) === (location.search || location.pathname);
  if (!isSame || (given.file ?? null) !== readAddress().file) goTo(given);
}

/** A step to what is to be shown. */
export function goTo(given) {
  notePlace();
  history.pushState(given.file ? { file: numberOf(given.file) } : null, "", addressOf(given));
}

/**
 * Know how far what is shown was looked through, for who comes back to it.
 *
 * @param {Function} asked - gives it: how many images are `shown`, and how far they are scrolled (`y`).
 */
export function watchPlace(asked) {
  place = asked;
  history.scrollRestoration = "manual"; // there is nothing to scroll to before the images have come
  addEventListener("pagehide", notePlace);
}

/** How far this was looked through before: `{shown, y}`. */
export function notedPlace() {
  return history.state?.place ?? { shown: 0, y: 0 };
}

function notePlace() {
  history.replaceState({ ...history.state, place: place() }, "");
}

function numberOf(file) {
  if (!files.includes(file)) files.push(file);
  return files.indexOf(file);
}

function selectionIn(text) {
  try {
    const given = JSON.parse(text ?? "{}");
    const kept = Object.entries(given).filter(([, one]) => isSelection(one));
    return Object.fromEntries(kept);
  } catch {
    return {};
  }
}

function isSelection(one) {
  const isText = (value) => value === undefined || typeof value === "string";
  if (typeof one !== "object" || one === null) return false;
  return Array.isArray(one.values) || ((one.from || one.to) && isText(one.from) && isText(one.to));
}
