/** Deleting images, and bringing them back: by the log of changes, which names the version before. */

import { get, post } from "../shared/api.js";
import { byId, counted, foreign, make } from "../shared/dom.js";
import { tell } from "./toast.js";

const AT_ONCE = 1000;
const MINUTE_MS = 60_000;

/**
 * Delete images; where that cannot be undone, a person is asked first.
 *
 * @param {object[]} images - `{id}`.
 * @param {{gone: Function, back: Function}} told - called with the ids, once they are gone, and once
 *   they are there again.
 */
export async function remove(images, told) {
  const ids = images.map(({ id }) => id);
  const obstacle = await obstacleToUndo();
  if (obstacle && !(await isSure(ids.length, obstacle))) return;
  try {
    const { requests, deleted } = await deleteAll(ids);
    told.gone(ids);
    const step = { label: "Undo", act: () => undo(requests, () => told.back(ids)) };
    tell(`${counted(deleted, "picture")} deleted.`, obstacle ? undefined : step);
  } catch (error) {
    tell(error.message);
  }
}

async function deleteAll(ids) {
  const requests = [];
  let deleted = 0;
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const part = ids.slice(from, from + AT_ONCE);
    const requestId = [...crypto.getRandomValues(new Uint32Array(4))].join("-");
    deleted += (await post("/delete_images", { ids: part }, { requestId })).deleted;
    requests.push({ requestId, id: part[0] });
  }
  return { requests, deleted };
}

/** Why nothing can be undone: the log may not be seen with this key, or there is none; else "". */
async function obstacleToUndo() {
  return get("/index/log?limit=1").then(() => "", ({ message }) => message);
}

/** Undo what these requests have deleted. */
async function undo(requests, back) {
  const lines = await Promise.all(requests.map(lineOf));
  const { key } = lines[0];
  if (key === null) await restore(lines, requests, back);
  else await undoAs(key, lines, back);
}

async function lineOf({ requestId, id }) {
  const { changes } = await get(`/index/log?${new URLSearchParams({ id, limit: 100 })}`);
  const line = changes.find((one) => one.request_id === requestId);
  if (!line) throw new Error("The log does not have this deletion any more.");
  return line;
}

/** With a key of a name, its changes of that moment are undone, and others' stay. */
async function undoAs(key, lines, back) {
  const times = lines.map(({ at }) => at).sort();
  const before = new Date(Date.parse(times.at(-1)) + 1).toISOString();
  const { restored, left } = await post("/index/undo", { key, since: times[0], before });
  back();
  const why = left.length ? ` Not ${left.length.toLocaleString("en")}: ${left[0].reason}.` : "";
  tell(`${counted(restored, "picture")} brought back.${why}`);
}

/** Without keys the table goes back to the version before; what came after would go with it. */
async function restore(lines, requests, back) {
  const version = Math.min(...lines.map((line) => line.version_before));
  const since = new Date(Date.parse(lines.map(({ at }) => at).sort()[0]) - MINUTE_MS).toISOString();
  const { changes, more } = await get(`/index/log?${new URLSearchParams({ since, limit: 1000 })}`);
  const own = new Set(requests.map(({ requestId }) => requestId));
  const others = changes.filter((one) => one.version_before >= version && !own.has(one.request_id));
  const act = async () => {
    await post("/index/restore", { version });
    back();
    tell("Brought back.");
  };
  if (others.length === 0 && !more) await act();
  else tell(`${more ? "Many" : counted(others.length, "change")} made since would be undone, too.`, { label: "Undo all", act });
}

/** Ask; the answer is whether to go on. */
function isSure(count, obstacle) {
  const dialog = byId("sure");
  const answer = (label, value, kind) => make("button", { type: "submit", value, class: kind }, label);
  dialog.replaceChildren(
    make(
      "form",
      { method: "dialog" },
      make("h2", { id: "sure-title" }, `Delete ${counted(count, "picture")}?`),
      make("p", { class: "hint" }, "It cannot be undone from here: ", foreign(obstacle)),
      make("p", { class: "row" }, answer("Delete", "yes", "primary"), answer("Cancel", "", "")),
    ),
  );
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}
