/** Changing the metadata of images, and the way back from it: merge patches (RFC 7396). */

import { get, patch } from "../shared/api.js";
import { Queue } from "../shared/queue.js";
import { flat, TEXT_KEY } from "../shared/values.js";

/**
 * Change images, a few at a time.
 *
 * @param {object[]} images - `{id}`.
 * @param {object} changes - by dotted key: a value, or null to take the key away.
 * @returns {{changed: object[], back: object[], failures: string[]}} images as they are now; what
 *   `takeBack` needs; why others were not changed.
 */
export async function change(images, changes) {
  const changed = [];
  const back = [];
  const failures = await work(images, async ({ id }, signal) => {
    const { metadata } = await get(at(id), { signal });
    changed.push(await patch(at(id), { metadata: patchOf(metadata, changes) }, { signal }));
    back.push({ id, metadata: inverse(metadata, changes) });
  });
  return { changed, back, failures };
}

/** Make the keys that were changed what they were. */
export async function takeBack(back) {
  const changed = [];
  const failures = await work(back, async ({ id, metadata }, signal) => {
    changed.push(await patch(at(id), { metadata }, { signal }));
  });
  return { changed, failures };
}

async function work(images, one) {
  const queue = new Queue(() => {});
  await queue.start(images.map((image) => ({ label: image.id, send: (signal) => one(image, signal) })));
  const left = queue.left ? ["The others were not tried."] : [];
  return [...new Set(queue.failures.map(({ message }) => message)), ...left];
}

function at(id) {
  return `/images/${encodeURIComponent(id)}`;
}

/** An object in place of a text would lose the text: it goes along. */
function patchOf(metadata, changes) {
  if (typeof metadata !== "string") return changes;
  const isTextAlone = Object.keys(changes).every((key) => key === TEXT_KEY);
  return isTextAlone ? changes[TEXT_KEY] : { [TEXT_KEY]: metadata, ...changes };
}

/** The patch that makes the changed keys what they were, nested as they were. */
function inverse(metadata, changes) {
  if (metadata === null || typeof metadata !== "object") return metadata;
  const before = new Map(flat(metadata).map((one) => [one.key, one]));
  const made = Object.create(null); // a key may be called as anything
  for (const key of Object.keys(changes)) {
    const { path, value } = before.get(key) ?? { path: [key], value: null };
    put(made, path, value);
  }
  return made;
}

function put(made, [name, ...rest], value) {
  if (rest.length === 0) made[name] = value;
  else put((made[name] ??= Object.create(null)), rest, value);
}
