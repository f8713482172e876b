/** From what a person has chosen to what the service is asked. */

import { formOf } from "../shared/api.js";

const DAY_MS = 86_400_000;

/** Whether the text is the address of a picture rather than words. */
export function isAddress(text) {
  return /^https?:\/\/\S+$/i.test(text.trim());
}

/** Whether the filters cannot be told together with what is searched for: a form has one of them. */
export function isUnfilterable({ words, file }) {
  return Boolean(words && file);
}

/**
 * The request of a search.
 *
 * @param {{words: string, url: string, id: string, file: ?File}} asked - what is searched for.
 * @param {?object} filter - in the service's language.
 * @param {{limit: number, offset: number}} page - which part of what is found.
 * @returns {?(object|FormData)} a body; null where nothing is searched for.
 */
export function searchBody(asked, filter, page) {
  const { words, url, id, file } = asked;
  if (file) {
    const metadata = words || filter;
    return formOf(file, { ...page, ...(metadata && { metadata }) });
  }
  const only = filter && { metadata: filter };
  const picture = url ? { url } : id ? { id } : null;
  if (!picture && !words) return filter && { ...only, ...page };
  if (!words) return { ...picture, ...only, ...page };
  // The service searches stored texts too, where it is asked for words without a filter.
  if (!filter && !id) return { ...picture, metadata: words, ...page };
  const query = [...(picture ? [picture] : []), { text: words }];
  return { query, ...only, ...page };
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
