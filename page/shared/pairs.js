/** Keys and values that a person writes, typed as the table has them. */

import { byId, make } from "./dom.js";
import { typed } from "./values.js";

const TYPES = {
  string: "Text",
  float: "Number",
  integer: "Whole number",
  boolean: "Yes or no",
  timestamp: "Date and time",
  "list of strings": "List",
};

/** The rows of keys and values in an element, with the button that adds one. */
export class Pairs {
  constructor(list, button) {
    this._list = list;
    this._button = button;
    this._types = new Map();
    button.addEventListener("click", () => this._add().querySelector("input").focus());
  }

  /** Know these columns: a key that is taken has its type. */
  know(columns) {
    this._types = new Map(columns.map(({ key, type }) => [key, type]));
    const options = columns.map(({ key }) => make("option", { value: key }));
    byId("known-keys").replaceChildren(...options);
    for (const row of this._list.children) {
      row.querySelector("input").dispatchEvent(new Event("input")); // written before they were known
    }
  }

  /**
   * The metadata as it is written, or null where there is none.
   *
   * @throws {Error} with what is wrong with a value.
   */
  read() {
    const found = Object.create(null); // a key may be called as anything
    for (const row of this._list.children) {
      const [key, value] = [...row.querySelectorAll("input")].map((one) => one.value.trim());
      if (key && value) found[key] = typed(key, value, row.querySelector("select").value);
    }
    return Object.keys(found).length ? found : null;
  }

  _add() {
    const key = field("Key", { list: "known-keys", maxlength: 128 });
    const value = field("Value");
    const options = Object.entries(TYPES).map(([type, name]) => make("option", { value: type }, name));
    const type = make("select", { "aria-label": "Type" }, ...options);
    const labelled = { type: "button", class: "plain", "aria-label": "Remove this key" };
    const remove = make("button", labelled, "Remove");
    const row = make("div", { class: "pair" }, key, value, type, remove);
    key.addEventListener("input", () => {
      const known = this._types.get(key.value.trim());
      if (known) type.value = known;
      type.disabled = Boolean(known);
    });
    remove.addEventListener("click", () => {
      row.remove();
      this._button.focus();
    });
    this._list.append(row);
    return row;
  }
}

function field(name, more = {}) {
  const own = { "aria-label": name, placeholder: name, dir: "auto", autocomplete: "off" };
  return make("input", { ...own, ...more });
}
