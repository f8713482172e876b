/** Changing metadata, of one image or of many, in a dialog. */

import { get } from "../shared/api.js";
import { byId, counted, make, notice } from "../shared/dom.js";
import { Pairs } from "../shared/pairs.js";
import { fieldsOf } from "./fields.js";
import { change, takeBack } from "./patching.js";
import { tell } from "./toast.js";

/**
 * Open the dialog.
 *
 * @param {object[]} images - `{id, metadata}`.
 * @param {Function} told - called with images as they are, once they have changed.
 */
export async function edit(images, told) {
  const columns = await get("/index/columns").then((answer) => answer.columns, () => []);
  const types = new Map(columns.map(({ key, type }) => [key, type]));
  const fields = fieldsOf(images, types);
  const list = make("div", {});
  const more = make("button", { type: "button", class: "plain" }, "Add a key");
  const pairs = new Pairs(list, more);
  pairs.know(columns);
  const problem = make("div", { role: "status" });
  const save = make("button", { type: "submit", class: "primary" }, "Save");
  const many = images.length > 1;
  const form = make(
    "form",
    { class: "edit" },
    make("h2", { id: "edit-title" }, many ? `Change ${counted(images.length, "picture")}` : "Change metadata"),
    ...(many ? [make("p", { class: "hint" }, "What you leave as it is stays as it is in each of them.")] : []),
    ...fields.map(({ row }) => row),
    list,
    more,
    problem,
    make("p", { class: "row" }, save, make("button", { type: "button", onclick: () => dialog.close() }, "Cancel")),
  );
  const dialog = byId("edit");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      await apply(images, changesOf(fields, pairs), told);
      dialog.close();
    } catch (error) {
      problem.replaceChildren(notice(`${error.message}.`, undefined, "error"));
    }
    save.disabled = false;
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

function changesOf(fields, pairs) {
  const changes = Object.create(null); // a key may be called as anything
  for (const { key, change: changed } of fields) {
    const value = changed();
    if (value !== undefined) changes[key] = value;
  }
  return Object.assign(changes, pairs.read());
}

/** Make the changes; where not one image takes them, why is thrown, so that the dialog stays. */
async function apply(images, changes, told) {
  if (Object.keys(changes).length === 0) return;
  const { changed, back, failures } = await change(images, changes);
  if (changed.length === 0) throw new Error(failures[0].replace(/\.$/, ""));
  told(changed);
  const why = failures.length ? ` ${counted(images.length - changed.length, "other")}: ${failures[0]}` : "";
  const act = async () => {
    const undone = await takeBack(back);
    told(undone.changed);
    const left = undone.failures.length ? ` ${undone.failures[0]}` : "";
    tell(`${counted(undone.changed.length, "picture")} as before.${left}`);
  };
  tell(`${counted(changed.length, "picture")} changed.${why}`, { label: "Undo", act });
}
