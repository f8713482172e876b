/** The filters: one for each column of the table, made from the values that are there. */

import { get } from "../shared/api.js";
import { byId, foreign, make } from "../shared/dom.js";

const SHOWN_VALUES = 6;
const NUMBERS = new Set(["integer", "float"]);

/** The panel of filters. Tells `changed` whenever a person selects something. */
export class Filters {
  constructor(changed) {
    this.selection = {};
    this.columns = [];
    this._problem = "";
    this._changed = changed;
    byId("filter-form").addEventListener("submit", (event) => event.preventDefault());
    byId("filter-form").addEventListener("change", () => {
      this._read();
      changed();
    });
    byId("clear-filters").addEventListener("click", () => {
      this.select({});
      changed();
    });
    byId("filters").open = matchMedia("(min-width: 60rem)").matches;
  }

  /** Types of the columns by key. */
  get types() {
    return new Map(this.columns.map(({ key, type }) => [key, type]));
  }

  /** Ask for the columns anew, and show them. */
  async load() {
    try {
      this.columns = (await get("/index/columns")).columns;
      this._problem = "";
    } catch (error) {
      this._problem = error.message;
    }
    this._show();
  }

  /**
   * Make sure that what is selected can be told to the service.
   *
   * @throws {Error} with what is in the way: a search without a filter would find too much.
   */
  check() {
    const unknown = Object.keys(this.selection).find((key) => !this.types.has(key));
    if (unknown === undefined) return;
    throw new Error(this._problem || `No picture has “${unknown}” any more. Clear the filters.`);
  }

  /** Set what is selected. */
  select(selection) {
    this.selection = selection;
    this._show();
  }

  /** Say that they do not apply to this search, or that they do. */
  disable(off) {
    byId("filter-fields").disabled = off;
    byId("filters-off").hidden = !off;
  }

  _show() {
    byId("filters").hidden = this.columns.length === 0;
    const groups = this.columns.filter(isUsable).map((one) => this._group(one));
    byId("filter-fields").replaceChildren(make("legend", { class: "unseen" }, "Filters"), ...groups);
    this._count();
  }

  _count() {
    const count = Object.keys(this.selection).length;
    byId("filter-count").textContent = count ? String(count) : "";
    byId("clear-filters").hidden = count === 0;
  }

  _group(column) {
    const isSelected = Object.hasOwn(this.selection, column.key); // a key may be "constructor"
    const selected = isSelected ? this.selection[column.key] : {};
    const controls = column.values
      ? choices(column, new Set(selected.values))
      : [range(column, selected)];
    const legend = make("legend", {}, foreign(column.key));
    return make("fieldset", { class: "filter", "data-key": column.key }, legend, ...controls);
  }

  _read() {
    const groups = [...byId("filter-fields").querySelectorAll(".filter")];
    const read = groups.map((group) => {
      const column = this.columns.find(({ key }) => key === group.dataset.key);
      return [column.key, column.values ? chosen(group, column) : written(group)];
    });
    this.selection = Object.fromEntries(read.filter(([, one]) => one));
    this._count();
  }
}

function isUsable({ values, min }) {
  return values?.length > 0 || min !== undefined;
}

/** A box for each value, the most frequent first; those beyond a few are folded away. */
function choices({ values, more }, selected) {
  const boxes = values.map(({ value, count }, number) => {
    const box = make("input", { type: "checkbox", value: number });
    box.checked = selected.has(value);
    const text = typeof value === "boolean" ? (value ? "yes" : "no") : value;
    const name = foreign(text);
    name.title = text;
    return make("label", { class: "choice" }, box, name, make("span", { class: "count" }, String(count)));
  });
  const rest = boxes.slice(SHOWN_VALUES);
  if (rest.length === 0) return boxes;
  const folded = make("details", { class: "rest" }, make("summary", {}, `${rest.length} more`), ...rest);
  folded.open = rest.some((one) => one.firstChild.checked);
  if (more) folded.append(make("p", { class: "hint" }, "Rarer values are not listed."));
  return [...boxes.slice(0, SHOWN_VALUES), folded];
}

function chosen(group, column) {
  const boxes = [...group.querySelectorAll("input:checked")];
  const values = boxes.map((box) => column.values[Number(box.value)].value);
  return values.length ? { values } : null;
}

function range({ key, type, min, max }, { from = "", to = "" }) {
  const field = (name, value, bound) => {
    const kind = NUMBERS.has(type)
      ? { type: "number", step: type === "integer" ? "1" : "any", placeholder: String(bound) }
      : { type: "date", min: dayOf(min), max: dayOf(max) };
    return make("input", { ...kind, value, "aria-label": `${key}, ${name}`, "data-end": name });
  };
  const between = make("span", { "aria-hidden": "true" }, "–");
  return make("div", { class: "range" }, field("from", from, min), between, field("to", to, max));
}

function written(group) {
  const [from, to] = ["from", "to"].map(
    (end) => group.querySelector(`[data-end=${end}]`).value,
  );
  return from || to ? { ...(from && { from }), ...(to && { to }) } : null;
}

/** The day of a moment, here, as a date field has it. */
function dayOf(moment) {
  const date = new Date(moment);
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
