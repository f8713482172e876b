/** The order of what is found: by a column, or as the service has it of itself. */

import { byId, make } from "../shared/dom.js";

const ADDED = "$created_at";
const WAYS = {
  integer: ["lowest first", "highest first"],
  float: ["lowest first", "highest first"],
  timestamp: ["earliest first", "latest first"],
  string: ["A to Z", "Z to A"],
  boolean: ["no first", "yes first"],
};

/** Make the box work: `changed` is called with the order that a person chooses. */
export function setUp(changed) {
  byId("sort").addEventListener("change", ({ target }) => changed(target.value));
}

/**
 * Offer what the columns can be sorted by.
 *
 * @param {object[]} columns - of the table.
 * @param {string} sort - what is sorted by now, as the service takes it.
 * @param {boolean} isRanked - whether there is a best one.
 */
export function show(columns, sort, isRanked) {
  const own = isRanked ? [["", "Best first"], [`-${ADDED}`, "Newest first"]] : [["", "Newest first"]];
  const options = [...own, [ADDED, "Oldest first"], ...columns.flatMap(waysOf)];
  if (!options.some(([value]) => value === sort)) options.push([sort, sort]); // from an address
  const box = byId("sort");
  box.replaceChildren(...options.map(([value, name]) => make("option", { value }, name)));
  box.value = sort;
}

function waysOf({ key, type, count }) {
  const ways = WAYS[type];
  if (!ways || count === 0) return [];
  return [[key, `${short(key)}, ${ways[0]}`], [`-${key}`, `${short(key)}, ${ways[1]}`]];
}

function short(key) {
  return key.length > 40 ? `${key.slice(0, 40)}…` : key;
}
