/** Metadata's values: as text, from text, and flat, under the dotted keys that filters know. */

export const TEXT_KEY = "$text";

/**
 * An image's values by their dotted keys; a free text is under `TEXT_KEY`.
 *
 * @param {?(object|string)} metadata - as the service answers it.
 * @returns {Array<{key: string, path: string[], value: *}>} in their order.
 */
export function flat(metadata, path = []) {
  if (typeof metadata === "string") return [{ key: TEXT_KEY, path: [TEXT_KEY], value: metadata }];
  return Object.entries(metadata ?? {}).flatMap(([name, value]) => {
    const to = [...path, name];
    const isObject = value && typeof value === "object" && !Array.isArray(value);
    return isObject ? flat(value, to) : [{ key: to.join("."), path: to, value }];
  });
}

/** A value as a person reads it. */
export function textOf(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

/** A value as a person writes it: `typed` reads the same from it. */
export function writtenOf(value) {
  const isUnclear = Array.isArray(value) && value.some((one) => one !== one.trim() || /[,[]/.test(one) || !one);
  return isUnclear ? JSON.stringify(value) : textOf(value);
}

/**
 * The value that a text stands for.
 *
 * @param {string} key - for what is wrong.
 * @param {string} text - not empty.
 * @param {string} type - of the key's column.
 * @throws {Error} with what would be right.
 */
export function typed(key, text, type) {
  switch (type) {
    case "boolean":
      return yesOrNo(key, text);
    case "float":
    case "integer":
      return number(key, text, type);
    case "timestamp":
      return time(key, text);
    case "list of strings":
      return listed(key, text);
    default:
      return text;
  }
}

function yesOrNo(key, text) {
  if (/^(?:yes|true)$/i.test(text)) return true;
  if (/^(?:no|false)$/i.test(text)) return false;
  throw new Error(`${key} must be yes or no`);
}

function number(key, text, type) {
  const read = Number(text);
  if (Number.isFinite(read) && (type === "float" || Number.isSafeInteger(read))) return read;
  throw new Error(`${key} must be ${type === "float" ? "a number" : "a whole number"}`);
}

function time(key, text) {
  const read = new Date(text);
  if (Number.isNaN(read.getTime())) {
    throw new Error(`${key} must be a date, such as 2026-01-31 or 2026-01-31 12:00`);
  }
  return read.toISOString();
}

/** Between commas; or, where they hold commas themselves, as JSON. */
function listed(key, text) {
  if (!text.startsWith("[")) return text.split(",").map((one) => one.trim()).filter(Boolean);
  try {
    const read = JSON.parse(text);
    if (Array.isArray(read) && read.every((one) => typeof one === "string")) return read;
  } catch {
    // No JSON: told below.
  }
  throw new Error(`${key} must be texts between commas, or a JSON list of texts`);
}
