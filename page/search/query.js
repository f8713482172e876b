/** From what a person has chosen to what the service is asked. */

import { formOf } from "../shared/api.js";

const DAY_MS = 86_400_000;

/** Whether the text is the address of a picture rather than words. */
export function isAddress(text) {
  return /^https?:\/\/\S+$/i.test(text.trim());
}

/** In place of a key to group by: one of the images with the same pixels. */
export const PIXELS = "$pixels";

/** The key of what images show, and its type: no column, but a filter as those of columns. */
export const OBJECTS = "$objects";
export const CLASSES = "classes";

/** A filter that keeps every image: a list that is sorted or grouped needs one. */
const EVERYTHING = { $created_at: { $exists: true } };

/** Whether images are only listed: nothing is given that they could be near to. */
export function isList({ words, url, id, file }) {
  return !(words || url || id || file);
}

/** Whether objects are searched for, and not whole pictures alone. */
export function isForObjects({ where, region, object }) {
  return Boolean(where || region || object);
}

/**
 * The request of a search.
 *
 * @param {object} asked - `{words, url, id, file, sort, group, isWhole}`: what is searched for, in
 *   which order, one of each of what, and whether with what fits badly, too; `{where, region, object}`:
 *   among what, and by which part of the picture.
 * @param {?object} filter - in the service's language.
 * @param {object} page - which part of what is found: `{limit, offset}` or `{limit, cursor}`.
 * @returns {?(object|FormData)} a body; null where all images are listed, newest first.
 */
export function searchBody(asked, filter, page) {
  const { words, url, id, file, sort, group } = asked;
  const only = group === PIXELS ? { distinct: "pixels" } : { group_by: group };
  const order = { ...page, ...(sort && { sort }), ...(group && only) };
  const isPlain = !filter && !sort && !group;
  if (isList(asked)) return isPlain ? null : { metadata: filter ?? EVERYTHING, ...order };
  const own = isForObjects(asked) ? { ...page, search: asked.where || "objects" } : { ...order, ...leavingOut(asked) };
  const rest = { ...(filter && { metadata: filter }), ...own };
  const part = partOf(asked);
  if (id && words) return { query: [{ id, ...part }, { text: words }], ...rest };
  const query = { ...(url && { url }), ...(id && { id }), ...(words && { text: words }), ...part, ...rest };
  return file ? formOf(file, query) : query;
}

function partOf({ region, object }) {
  if (region) return { region: region.split(",").map(Number) };
  return object ? { object: Number(object) } : {};
}

/** Sorted hits are always bounded: by a score that all have where the rest is wanted, too. */
function leavingOut({ sort, isWhole }) {
  if (!isWhole) return { cutoff: "auto" };
  return sort ? { min_score: -1 } : {};
}

/**
 * A filter in the service's language.
 *
 * @param {object} selection - by key: `{values: [...]}`, or `{from, to}` as the controls have them.
 * @param {Map<string, string>} types - the columns' types by key.
 * @returns {?object} null where nothing is selected.
 */
export function filterOf(selection, types) {
  const conditions = Object.entries(selection)
    .filter(([key]) => types.has(key))
    .map(([key, one]) => condition(key, types.get(key), one));
  if (conditions.length < 2) return conditions[0] ?? null;
  return { $and: conditions };
}

function condition(key, type, { values, from, to }) {
  if (type === CLASSES) return { [key]: { class_name: { $in: values } } };
  if (values && type === "list of strings") {
    const each = values.map((value) => ({ [key]: { $contains: value } }));
    return each.length === 1 ? each[0] : { $or: each };
  }
  if (values) return { [key]: { $in: values } };
  if (type === "timestamp") return { [key]: days(from, to) };
  return { [key]: { ...(from && { $gte: Number(from) }), ...(to && { $lte: Number(to) }) } };
}

/** From the beginning of a day to the end of another, here. */
function days(from, to) {
  const start = (day) => new Date(`${day}T00:00:00`);
  return {
    ...(from && { $gte: start(from).toISOString() }),
    ...(to && { $lt: new Date(start(to).getTime() + DAY_MS).toISOString() }),
  };
}
