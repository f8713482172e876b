/** Metadata for all pictures that are added: keys and values, typed as the table has them. */

import { byId, make } from "./dom.js";

const TYPES = {
  string: "Text",
  float: "Number",
  integer: "Whole number",
  boolean: "Yes or no",
  timestamp: "Date and time",
  "list of strings": "List",
};

/** The rows of keys and values. `columns` are those of the table. */
export class Pairs {
  constructor() {
    this._types = new Map();
    byId("add-pair").addEventListener("click", () => this._add().querySelector("input").focus());
  }

  /** Know these columns: a key that is taken has its type. */
  know(columns) {
    this._types = new Map(columns.map(({ key, type }) => [key, type]));
    const options = columns.map(({ key }) => make("option", { value: key }));
    byId("known-keys").replaceChildren(...options);
    for (const row of byId("pairs").children) {
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
    for (const row of byId("pairs").children) {
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
      byId("add-pair").focus();
    });
    byId("pairs").append(row);
    return row;
  }
}

function field(name, more = {}) {
  const own = { "aria-label": name, placeholder: name, dir: "auto", autocomplete: "off" };
  return make("input", { ...own, ...more });
}

function typed(key, value, type) {
  switch (type) {
    case "boolean":
      return yesOrNo(key, value);
    case "float":
    case "integer":
      return number(key, value, type);
    case "timestamp":
      return time(key, value);
    case "list of strings":
      return value.split(",").map((one) => one.trim()).filter(Boolean);
    default:
      return value;
  }
}

function yesOrNo(key, value) {
  if (/^(?:yes|true)$/i.test(value)) return true;
  if (/^(?:no|false)$/i.test(value)) return false;
  throw new Error(`${key} must be yes or no`);
}

function number(key, value, type) {
  const read = Number(value);
  if (Number.isFinite(read) && (type === "float" || Number.isSafeInteger(read))) return read;
  throw new Error(`${key} must be ${type === "float" ? "a number" : "a whole number"}`);
}

function time(key, value) {
  const read = new Date(value);
  if (Number.isNaN(read.getTime())) {
    throw new Error(`${key} must be a date, such as 2026-01-31 or 2026-01-31 12:00`);
  }
  return read.toISOString();
}
