/** How many images there are of each value, under the filters that are chosen. */

import { post } from "../shared/api.js";
import { CLASSES, filterOf } from "./query.js";

const AT_ONCE = 32; // keys that one request may ask for

/**
 * Columns as they are under the filters: each key under those of the other keys, so that what else
 * could be chosen of it has a number, too.
 *
 * @param {object} selection - by key, as `filterOf` takes it.
 * @param {object[]} columns - of the whole table.
 * @returns {Map<string, object>} the columns by their keys.
 */
export async function columnsUnder(selection, columns, signal) {
  const types = new Map(columns.map(({ key, type }) => [key, type]));
  const chosen = columns.filter(({ key }) => Object.hasOwn(selection, key));
  const others = columns.filter((one) => !chosen.includes(one));
  const asked = [
    facets(selection, others),
    ...chosen.map((one) => facets(without(selection, one.key), [one])),
  ];
  const found = (await Promise.all(asked)).flat();
  return new Map(found.map((one) => [one.key, one]));

  async function facets(under, some) {
    const filter = filterOf(under, types);
    if (!filter || some.length === 0) return some;
    // How many show what is counted of the whole table alone.
    const keys = some.filter(({ type }) => type !== CLASSES).map(({ key }) => key);
    const parts = [];
    for (let at = 0; at < keys.length; at += AT_ONCE) parts.push(keys.slice(at, at + AT_ONCE));
    const bodies = parts.map((part) => ({ metadata: filter, limit: 1, facets: part }));
    const sent = bodies.map((body) => post("/search_similar_images", body, { signal }));
    return (await Promise.all(sent)).flatMap((answer) => answer.facets).concat(some.filter(({ type }) => type === CLASSES));
  }
}

function without(selection, key) {
  return Object.fromEntries(Object.entries(selection).filter(([name]) => name !== key));
}
