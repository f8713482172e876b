/** Boxes drawn over a picture, and the list of the objects beside it; each shows the other. */

import { byId, foreign, make, makeSvg } from "./dom.js";

const LABEL_PX = 13;
const PADDING_PX = 4;

/**
 * Show a picture with its detections.
 *
 * @param {{width: number, height: number, picture: string, detections: object[]}} found - as the
 *   service answers it, with a picture.
 */
export function showDetections({ width, height, picture, detections }) {
  const overlay = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const alt = `The picture, ${width} by ${height} pixels; the list names its objects`;
  const image = make("img", { src: picture, alt, width, height });
  const pairs = detections.map((one) => ({ one, box: boxOf(one), item: itemOf(one) }));
  overlay.append(...pairs.map(({ box }) => box));
  byId("objects").replaceChildren(...pairs.map(({ item }) => item));
  pairs.forEach(({ box, item }) => tie(box, item, overlay));
  byId("detect-figure").replaceChildren(image, overlay);
  sizes.disconnect();
  sizes.observe(overlay);
  return pairs;
}

/** Labels are as large as any text, however the picture is scaled. */
const sizes = new ResizeObserver(([{ target, contentRect }]) => {
  const scale = target.viewBox.baseVal.width / contentRect.width;
  if (Number.isFinite(scale)) target.querySelectorAll("g").forEach((box) => layLabel(box, scale));
});

function boxOf({ xyxy: [left, top, right, bottom], class_name: name, confidence }) {
  const frame = { x: left, y: top, width: right - left, height: bottom - top };
  return makeSvg(
    "g",
    { class: "box", "data-x": left, "data-y": top },
    makeSvg("rect", { class: "halo", ...frame }),
    makeSvg("rect", { class: "frame", ...frame }),
    makeSvg("rect", { class: "plate" }),
    makeSvg("text", {}, `${name} ${percent(confidence)}`),
  );
}

function layLabel(box, scale) {
  const text = box.querySelector("text");
  const height = (LABEL_PX + 2 * PADDING_PX) * scale;
  text.setAttribute("font-size", LABEL_PX * scale);
  const width = text.getComputedTextLength() + 2 * PADDING_PX * scale;
  const { width: whole } = box.ownerSVGElement.viewBox.baseVal;
  const x = Math.max(0, Math.min(Number(box.dataset.x), whole - width));
  const y = Math.max(0, Number(box.dataset.y) - height); // inside, where there is no room above
  place(text, { x: x + PADDING_PX * scale, y: y + height - (PADDING_PX + 2) * scale });
  place(box.querySelector(".plate"), { x, y, width, height, rx: 3 * scale });
}

function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function itemOf({ class_name: name, confidence }) {
  const share = make("span", { class: "score" }, percent(confidence));
  return make("li", {}, make("button", { type: "button", class: "object" }, foreign(name), share));
}

function tie(box, item, overlay) {
  const light = (on) => () => {
    box.classList.toggle("lit", on);
    item.classList.toggle("lit", on);
    overlay.classList.toggle("dimmed", on);
    if (on) overlay.append(box); // above the others
  };
  for (const [on, events] of [[true, ["pointerenter", "focusin"]], [false, ["pointerleave", "focusout"]]]) {
    for (const event of events) {
      box.addEventListener(event, light(on));
      item.addEventListener(event, light(on));
    }
  }
}

function percent(confidence) {
  return `${Math.round(confidence * 100)}%`;
}
