/** The filters: one for each column of the table, with how many images there are of each value. */

import { get } from "../shared/api.js";
import { byId, make } from "../shared/dom.js";
import { columnsUnder } from "./counts.js";
import { groupOf, isUsable } from "./facets.js";
import { CLASSES, OBJECTS } from "./query.js";

/** The panel of filters. Tells `changed` whenever a person selects something. */
export class Filters {
  constructor(changed) {
    this.selection = {};
    this.columns = [];
    /** Whether the service indexes the objects in images. */
    this.hasObjects = false;
    this._groups = [];
    this._problem = "";
    this._counted = "{}"; // the selection that the numbers are under
    this._counting = new AbortController();
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
      const { columns, classes } = await get("/index/columns");
      this.hasObjects = classes !== undefined;
      this.columns = classes?.length ? [shownIn(classes), ...columns] : columns;
      this._problem = "";
    } catch (error) {
      this._problem = error.message;
    }
    this._show();
  }

  /** Ask how many there are of each value under what is selected, and show it. */
  async count() {
    this._counting.abort();
    const under = JSON.stringify(this.selection);
    if (under === this._counted) return;
    this._counting = new AbortController();
    const { signal } = this._counting;
    try {
      const found = await columnsUnder(this.selection, this.columns, signal);
      if (signal.aborted) return;
      for (const one of this._groups) if (found.has(one.key)) one.show(found.get(one.key));
      this._counted = under;
    } catch {
      // The numbers are of before; what the search itself says of the service is told there.
    }
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

  _show() {
    this._counted = "{}"; // the columns are those of the whole table
    byId("filters").hidden = this.columns.length === 0;
    this._groups = this.columns.filter(isUsable).map((one) => {
      const isSelected = Object.hasOwn(this.selection, one.key); // a key may be "constructor"
      return groupOf(one, isSelected ? this.selection[one.key] : {});
    });
    const legend = make("legend", { class: "unseen" }, "Filters");
    byId("filter-fields").replaceChildren(legend, ...this._groups.map(({ group }) => group));
    this._say();
  }

  _say() {
    const count = Object.keys(this.selection).length;
    byId("filter-count").textContent = count ? String(count) : "";
    byId("clear-filters").hidden = count === 0;
  }

  _read() {
    const read = this._groups.map(({ key, read: selected }) => [key, selected()]);
    this.selection = Object.fromEntries(read.filter(([, one]) => one));
    this._say();
  }
}

/** What images show, as if it were a column. */
function shownIn(classes) {
  const values = classes.map(({ class_name: value, images: count }) => ({ value, count }));
  return { key: OBJECTS, name: "Shows", type: CLASSES, values };
}
