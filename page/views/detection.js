/** Detection: the objects in a picture, by its address or its file. */

import { readAddress, writeAddress } from "../shared/address.js";
import { formOf, getPicture, post } from "../shared/api.js";
import { byId, counted, notice } from "../shared/dom.js";
import { firstPicture } from "../shared/files.js";
import { showDetections } from "./boxes.js";

const WANTED = { format: "json", picture: true };
let pairs = [];
let shownUrl = "";
let running = new AbortController();

/** Make the view work. */
export function setUp() {
  byId("detect-form").addEventListener("submit", (event) => {
    event.preventDefault();
    byUrl(byId("detect-url").value.trim());
  });
  byId("pick-detect").addEventListener("click", () => byId("detect-file").click());
  byId("detect-file").addEventListener("change", ({ target }) => {
    take([...target.files]);
    target.value = "";
  });
  byId("confidence").addEventListener("input", cut);
}

/** Detect in the picture that the address names. */
export function open() {
  const { url } = readAddress();
  byId("detect-url").value = url;
  if (url && url !== shownUrl) detect({ ...WANTED, url }, url);
}

/** Detect in the first picture among some files. */
export function take(files) {
  const file = firstPicture(files);
  if (!file) {
    complain("That is no picture.");
    return;
  }
  writeAddress({ view: "detect" });
  byId("detect-url").value = "";
  detect(formOf(file, WANTED), "");
}

/** Detect in an image of the index: by its address, or by the file that the service keeps. */
export async function detectIn({ id, url }) {
  if (!url.startsWith("upload:")) {
    byUrl(url);
    return;
  }
  writeAddress({ view: "detect" });
  const signal = begin();
  try {
    const file = await getPicture(`/images/${encodeURIComponent(id)}/image`, { signal });
    if (signal.aborted) return;
    if (file) take([file]);
    else complain("The service does not keep this picture's file.");
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
}

function byUrl(url) {
  byId("detect-url").value = url;
  if (!url) {
    byId("detect-url").focus();
    return;
  }
  writeAddress({ view: "detect", url });
  detect({ ...WANTED, url }, url);
}

/** Begin another detection, and end the one before. */
function begin() {
  running.abort();
  running = new AbortController();
  return running.signal;
}

async function detect(body, url) {
  const signal = begin();
  byId("detect-notice").replaceChildren();
  byId("detect-status").textContent = "Looking…";
  byId("detected").setAttribute("aria-busy", "true");
  try {
    const found = await post("/run_object_detection", body, { signal });
    shownUrl = url;
    show(found);
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
  if (!signal.aborted) byId("detected").removeAttribute("aria-busy");
}

function show(found) {
  byId("detected").hidden = false;
  pairs = showDetections(found);
  const slider = byId("confidence");
  // The service shows nothing below its own minimum: the slider begins where there is something.
  const least = Math.min(...found.detections.map(({ confidence }) => confidence), 1);
  slider.min = Math.floor(least * 100);
  slider.value = slider.min;
  cut();
}

/** Show what the detector is sure enough of. */
function cut() {
  const percent = Number(byId("confidence").value);
  byId("confidence-shown").textContent = `${percent}%`;
  const shown = pairs.filter(({ one, box, item }) => {
    const isSure = one.confidence * 100 >= percent;
    item.hidden = !isSure;
    for (const part of Object.values(box)) part.classList.toggle("unsure", !isSure);
    return isSure;
  });
  const none = pairs.length ? "No object is that sure." : "The detector knows no object in this picture.";
  byId("detect-status").textContent = shown.length ? `${counted(shown.length, "object")} found.` : none;
}

function complain(message) {
  shownUrl = "";
  byId("detected").hidden = true;
  byId("detect-status").textContent = "";
  byId("detect-notice").replaceChildren(notice(message, undefined, "error"));
}
