/** Parts of a picture: its objects as buttons over it, and a box that is drawn on it. */

import { formOf, get, post } from "../shared/api.js";
import { byId, make, notice } from "../shared/dom.js";

const LEAST_PX = 6; // less is a press, and no box

/**
 * Put the objects of an indexed image over its picture, each a button.
 *
 * @param {string} id - of the image.
 * @param {Element} holder - that holds the picture alone.
 * @param {Function} pressed - is given the number of an object.
 */
export async function showObjects(id, holder, pressed) {
  try {
    const told = await get(`/images/${encodeURIComponent(id)}/objects`);
    if (told.objects.length) lay(holder, told, told.objects, ({ n }) => pressed(n));
  } catch {
    // Deleted meanwhile: the picture is shown all the same.
  }
}

/**
 * Let a person choose a part of a picture: one of its objects, or a box of their own.
 *
 * @param {{url: string, file: ?File}} picture - by its address or its file.
 * @param {Function} chosen - is given left, top, right and bottom in pixels.
 */
export async function choosePart({ url, file }, chosen) {
  const dialog = byId("part");
  const end = (part) => {
    dialog.close();
    if (part) chosen(part);
  };
  const close = make("button", { type: "button", class: "plain close", onclick: () => end() }, "Close");
  const title = make("h2", { id: "part-title" }, "Choose a part");
  const hint = make("p", { class: "hint", role: "status" }, "Looking…");
  const holder = make("div", { class: "part-picture" });
  dialog.replaceChildren(make("div", { class: "details-head" }, close), title, hint, holder);
  dialog.showModal();
  try {
    const wanted = { format: "json", picture: true };
    const found = await post("/run_object_detection", file ? formOf(file, wanted) : { ...wanted, url });
    holder.append(make("img", { src: found.picture, alt: "The picture", draggable: "false" }));
    lay(holder, found, found.detections, ({ xyxy }) => end(xyxy));
    draw(holder, found, end);
    hint.textContent = "Draw a box around what you look for, or press one.";
  } catch (error) {
    hint.textContent = "";
    holder.replaceChildren(notice(error.message, undefined, "error"));
  }
}

function lay(holder, { width, height }, objects, pressed) {
  holder.classList.add("boxed");
  holder.style.setProperty("--ratio", width / height);
  holder.append(...objects.map((one) => boxOf(one, { width, height }, pressed)));
}

function boxOf(one, size, pressed) {
  const { class_name: name, confidence } = one;
  const label = `${name} ${Math.round(confidence * 100)}%`;
  const found = { type: "button", class: "object-box", title: label, "aria-label": `Find objects like this ${label}` };
  const button = make("button", { ...found, onclick: () => pressed(one) });
  placeAt(button, one.xyxy, size);
  return button;
}

function placeAt(element, [left, top, right, bottom], { width, height }) {
  element.style.left = `${(100 * left) / width}%`;
  element.style.top = `${(100 * top) / height}%`;
  element.style.width = `${(100 * (right - left)) / width}%`;
  element.style.height = `${(100 * (bottom - top)) / height}%`;
}

/** Draw a box with a pointer: from where it is put down to where it is taken up. */
function draw(holder, size, chosen) {
  const box = make("div", { class: "drawn-box", hidden: true });
  let from = null;
  holder.append(box);
  const at = ({ clientX, clientY }) => {
    const { left, top, width, height } = holder.getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    return [share((clientX - left) / width) * size.width, share((clientY - top) / height) * size.height];
  };
  const part = (to) => [...from.map((one, n) => Math.min(one, to[n])), ...from.map((one, n) => Math.max(one, to[n]))];
  holder.addEventListener("pointerdown", (event) => {
    from = event.isPrimary && event.button === 0 ? at(event) : null;
  });
  holder.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x1, y1, x2, y2] = part(at(event));
    const scale = holder.clientWidth / size.width;
    if (Math.min(x2 - x1, y2 - y1) * scale < LEAST_PX && box.hidden) return;
    if (box.hidden) holder.setPointerCapture(event.pointerId); // what ends on a button presses none
    box.hidden = false;
    placeAt(box, [x1, y1, x2, y2], size);
  });
  holder.addEventListener("pointerup", (event) => {
    const isDrawn = from && !box.hidden;
    const [x1, y1, x2, y2] = isDrawn ? part(at(event)) : [];
    from = null;
    box.hidden = true;
    if (isDrawn && x2 > x1 && y2 > y1) chosen([x1, y1, x2, y2]);
  });
  holder.addEventListener("pointercancel", () => {
    from = null;
    box.hidden = true;
  });
}
