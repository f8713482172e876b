/** The keys that some images have, each with its value to change; what is left alone stays. */

import { foreign, make } from "../shared/dom.js";
import { flat, TEXT_KEY, typed, writtenOf } from "../shared/values.js";

const LONG_CHARS = 60;

/**
 * One field for each key.
 *
 * @param {object[]} images - `{metadata}`.
 * @param {Map<string, string>} types - of the table's columns by key.
 */
export function fieldsOf(images, types) {
  const values = new Map();
  for (const { metadata } of images) {
    for (const { key, value } of flat(metadata)) values.set(key, [...(values.get(key) ?? []), value]);
  }
  return [...values].map(([key, all]) => {
    const isMixed = all.length < images.length || new Set(all.map((one) => JSON.stringify(one))).size > 1;
    return field(key, types.get(key) ?? "string", isMixed ? "" : writtenOf(all[0]), isMixed);
  });
}

function field(key, type, written, isMixed) {
  const name = key === TEXT_KEY ? "Text" : key;
  const isLong = key === TEXT_KEY || written.length > LONG_CHARS || written.includes("\n");
  const own = { "aria-label": name, dir: "auto", autocomplete: "off", placeholder: isMixed ? "Several values" : "" };
  const control = isLong ? make("textarea", { ...own, rows: 3 }) : make("input", own);
  control.value = written;
  const before = control.value; // as the control has it: it may not keep every character
  let isGone = false;
  const remove = make("button", { type: "button", class: "plain", "aria-label": `Remove ${name}` }, "Remove");
  const row = make("div", { class: "field" }, foreign(name, "span"), control, remove);
  remove.addEventListener("click", () => {
    isGone = !isGone;
    row.classList.toggle("gone", isGone);
    control.disabled = isGone;
    remove.textContent = isGone ? "Keep" : "Remove";
    remove.setAttribute("aria-label", `${remove.textContent} ${name}`);
  });
  /** What is to become of the key: a value, null to take it away, undefined to leave it alone. */
  const change = () => {
    if (isGone) return null;
    if (control.value === before) return undefined;
    const text = isLong ? control.value : control.value.trim();
    return text ? typed(name, text, type) : null;
  };
  return { key, row, change };
}
