/** The order of what is found, and of what there is to be one only: by the table's columns. */

import { byId, make } from "../shared/dom.js";
import { PIXELS } from "./query.js";

const ADDED = "$created_at";
const WAYS = {
  integer: ["lowest first", "highest first"],
  float: ["lowest first", "highest first"],
  timestamp: ["earliest first", "latest first"],
  string: ["A to Z", "Z to A"],
  boolean: ["no first", "yes first"],
};

/** Kinds of columns whose values a filter can name one by one. */
const GROUPED = new Set(["string", "integer", "float", "boolean"]);

/** Make the boxes work: `changed` is called with `{sort}` or `{group}` that a person chooses. */
export function setUp(changed) {
  for (const name of ["sort", "group"]) {
    byId(name).addEventListener("change", ({ target }) => changed({ [name]: target.value }));
  }
}

/**
 * Offer what the columns can be sorted and grouped by.
 *
 * @param {object[]} columns - of the table.
 * @param {{sort: string, group: string}} asked - what is chosen now, as the address has it.
 * @param {boolean} isRanked - whether there is a best one.
 */
export function show(columns, { sort, group }, isRanked) {
  const some = columns.filter(({ count }) => count !== 0);
  const own = isRanked ? [["", "Best first"], [`-${ADDED}`, "Newest first"]] : [["", "Newest first"]];
  fill("sort", [...own, [ADDED, "Oldest first"], ...some.flatMap(waysOf)], sort);
  const keys = some.filter(({ type }) => GROUPED.has(type)).map(({ key }) => [key, `One per ${short(key)}`]);
  fill("group", [["", "All pictures"], ...keys, [PIXELS, "No copies"]], group);
}

/** What is chosen stands there, even where no column has it (any more): the service tells why. */
function fill(id, options, chosen) {
  const all = options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
  byId(id).replaceChildren(...all.map(([value, name]) => make("option", { value }, name)));
  byId(id).value = chosen;
}

function waysOf({ key, type }) {
  const ways = WAYS[type];
  if (!ways) return [];
  return [[key, `${short(key)}, ${ways[0]}`], [`-${key}`, `${short(key)}, ${ways[1]}`]];
}

function short(key) {
  return key.length > 40 ? `${key.slice(0, 40)}…` : key;
}
