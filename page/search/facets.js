/** The controls of one filter: a box for each value, or two ends of a range. */

import { foreign, make } from "../shared/dom.js";

const SHOWN_VALUES = 6;
const NUMBERS = new Set(["integer", "float"]);

/** Whether anything can be chosen of a column. */
export function isUsable({ values, min }) {
  return values?.length > 0 || min !== undefined;
}

/**
 * A column's group of controls. It has `read()`, which gives what is selected or null, and
 * `show(column)`, which tells of the column as it is under other filters.
 *
 * @param {object} column - `{key, type, values?, min?, max?, more?}`.
 * @param {object} selected - `{values}`, or `{from, to}`; empty where nothing is.
 */
export function groupOf(column, selected) {
  const one = column.values ? choices(column, selected.values ?? []) : range(column, selected);
  const legend = make("legend", {}, foreign(column.name ?? column.key));
  const group = make("fieldset", { class: "filter", "data-key": column.key }, legend, ...one.controls);
  const show = (under) => {
    one.show(under);
    group.hidden = under.count === 0 && one.read() === null;
  };
  return { key: column.key, group, read: one.read, show };
}

/** A box for each value, the most frequent first; those beyond a few are folded away. */
function choices({ values, more }, selected) {
  const boxes = new Map(); // by value
  const few = make("div", {});
  const rest = make("details", { class: "rest" });
  const list = (given) => {
    const fresh = given.filter((value) => !boxes.has(value));
    for (const value of fresh) boxes.set(value, choice(value, selected.includes(value)));
    if (fresh.length) spread([...boxes.values()], few, rest, more);
  };
  const read = () => {
    const chosen = [...boxes].filter(([, box]) => box.firstChild.checked).map(([value]) => value);
    return chosen.length ? { values: chosen } : null;
  };
  const show = (under) => {
    const counts = new Map((under.values ?? []).map(({ value, count }) => [value, count]));
    list([...counts.keys()]);
    for (const [value, box] of boxes) tell(box, counts.get(value) ?? 0);
  };
  list([...values.map(({ value }) => value), ...selected]);
  show({ values });
  rest.open = [...rest.querySelectorAll("input")].some((box) => box.checked);
  return { controls: [few, rest], read, show };
}

function spread(boxes, few, rest, more) {
  few.replaceChildren(...boxes.slice(0, SHOWN_VALUES));
  const folded = boxes.slice(SHOWN_VALUES);
  const hint = more ? [make("p", { class: "hint" }, "Rarer values are not listed.")] : [];
  rest.replaceChildren(make("summary", {}, `${folded.length} more`), ...folded, ...hint);
  rest.hidden = folded.length === 0;
}

function choice(value, isChosen) {
  const box = make("input", { type: "checkbox" });
  box.checked = isChosen;
  const text = typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
  const name = foreign(text);
  name.title = text;
  return make("label", { class: "choice" }, box, name, make("span", { class: "count" }));
}

function tell(box, count) {
  box.lastChild.textContent = count.toLocaleString("en");
  box.classList.toggle("none", count === 0);
}

function range({ key, type, min, max }, { from = "", to = "" }) {
  const kind = NUMBERS.has(type)
    ? { type: "number", step: type === "integer" ? "1" : "any" }
    : { type: "date", min: dayOf(min), max: dayOf(max) };
  const [least, most] = [["from", from], ["to", to]].map(([name, value]) =>
    make("input", { ...kind, value, "aria-label": `${key}, ${name}` }),
  );
  const read = () => {
    const ends = { ...(least.value && { from: least.value }), ...(most.value && { to: most.value }) };
    return Object.keys(ends).length ? ends : null;
  };
  const show = (under) => {
    if (!NUMBERS.has(type)) return;
    least.placeholder = String(under.min ?? "");
    most.placeholder = String(under.max ?? "");
  };
  show({ min, max });
  const between = make("span", { "aria-hidden": "true" }, "–");
  return { controls: [make("div", { class: "range" }, least, between, most)], read, show };
}

/** The day of a moment, here, as a date field has it. */
function dayOf(moment) {
  const date = new Date(moment);
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
