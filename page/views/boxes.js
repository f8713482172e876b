/** Boxes drawn over a picture, and the list of the objects beside it; each shows the other. */

import { byId, foreign, make, makeSvg } from "../shared/dom.js";

const LABEL_PX = 13;
const PADDING_PX = 4;

/**
 * Show a picture with its detections, each with its box and its item of the list.
 *
 * @param {{width: number, height: number, picture: string, detections: object[]}} found - as the
 *   service answers it, with a picture.
 */
export function showDetections({ width, height, picture, detections }) {
  const overlay = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const alt = `The picture, ${width} by ${height} pixels; the list names its objects`;
  const image = make("img", { src: picture, alt, width, height });
  const pairs = detections.map((one) => ({ one, box: boxOf(one), item: itemOf(one) }));
  // Labels come above all frames.
  overlay.append(...pairs.map(({ box }) => box.frame), ...pairs.map(({ box }) => box.label));
  byId("objects").replaceChildren(...pairs.map(({ item }) => item));
  pairs.forEach(({ box, item }) => tie(box, item, overlay));
  byId("detected").style.setProperty("--ratio", width / height);
  byId("detect-figure").replaceChildren(image, overlay);
  sizes.disconnect();
  sizes.observe(overlay);
  return pairs;
}

/** Labels are as large as any text, however the picture is scaled. */
const sizes = new ResizeObserver(([{ target, contentRect }]) => {
  const scale = target.viewBox.baseVal.width / contentRect.width;
  if (Number.isFinite(scale)) target.querySelectorAll(".label").forEach((one) => layLabel(one, scale));
});

function boxOf({ xyxy: [left, top, right, bottom], class_name: name, confidence }) {
  const sides = { x: left, y: top, width: right - left, height: bottom - top };
  const halo = makeSvg("rect", { class: "halo", ...sides });
  const frame = makeSvg("g", { class: "box" }, halo, makeSvg("rect", { class: "frame", ...sides }));
  const text = makeSvg("text", {}, `${name} ${percent(confidence)}`);
  const label = makeSvg("g", { class: "box label", "data-x": left, "data-y": top }, makeSvg("rect"), text);
  return { frame, label };
}

function layLabel(label, scale) {
  const [plate, text] = label.children;
  const height = (LABEL_PX + 2 * PADDING_PX) * scale;
  text.setAttribute("font-size", LABEL_PX * scale);
  const width = text.getComputedTextLength() + 2 * PADDING_PX * scale;
  const { width: whole } = label.ownerSVGElement.viewBox.baseVal;
  const x = Math.max(0, Math.min(Number(label.dataset.x), whole - width));
  const y = Math.max(0, Number(label.dataset.y) - height); // inside, where there is no room above
  place(text, { x: x + PADDING_PX * scale, y: y + height - (PADDING_PX + 2) * scale });
  place(plate, { x, y, width, height, rx: 3 * scale });
}

function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function itemOf({ class_name: name, confidence }) {
  const share = make("span", { class: "score" }, percent(confidence));
  return make("li", {}, make("button", { type: "button", class: "object" }, foreign(name), share));
}

function tie({ frame, label }, item, overlay) {
  const light = (on) => () => {
    for (const one of [frame, label, item]) one.classList.toggle("lit", on);
    overlay.classList.toggle("dimmed", on);
  };
  for (const one of [frame, label, item]) {
    one.addEventListener("pointerenter", light(true));
    one.addEventListener("pointerleave", light(false));
  }
  item.addEventListener("focusin", light(true));
  item.addEventListener("focusout", light(false));
}

function percent(confidence) {
  return `${Math.round(confidence * 100)}%`;
}
