/** Adding pictures: files, folders and addresses, with progress and what went wrong. */

import { formOf, get, post } from "../shared/api.js";
import { byId, counted, foreign, make, notice } from "../shared/dom.js";
import { isPicture, pathOf } from "../shared/files.js";
import { Pairs } from "../shared/pairs.js";
import { FILE_KEY } from "../shared/pictures.js";
import { Queue } from "../shared/queue.js";

const ROUTE = "/post_image_to_index";
const SHOWN_FAILURES = 200;
const SAID_EVERY_MS = 2000;
let chosen = [];
let left = 0;
let pairs;
let queue;
let saidAt = 0;

/** Make the view work. */
export function setUp() {
  pairs = new Pairs(byId("pairs"), byId("add-pair"));
  queue = new Queue(show);
  for (const [button, input] of [["pick-files", "add-files"], ["pick-folder", "add-folder"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", ({ target }) => {
      take([...target.files]);
      target.value = "";
    });
  }
  byId("addresses").addEventListener("input", showChosen);
  byId("add-form").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  byId("add-stop").addEventListener("click", () => queue.stop());
  byId("add-retry").addEventListener("click", () => queue.retry());
  showChosen();
}

/** The table's columns may be others than before. */
export async function open() {
  try {
    pairs.know((await get("/index/columns")).columns);
    byId("add-notice").replaceChildren();
  } catch (error) {
    byId("add-notice").replaceChildren(notice(error.message, { label: "Try again", act: open }, "error"));
  }
}

/** Keep the pictures among some files, until they are added. */
export function take(files) {
  const pictures = files.filter(isPicture);
  chosen = chosen.concat(pictures); // a call takes no hundred thousand arguments
  left += files.length - pictures.length;
  showChosen();
}

function start() {
  let metadata;
  try {
    metadata = pairs.read();
  } catch (error) {
    byId("add-notice").replaceChildren(notice(`${error.message}.`, undefined, "error"));
    return;
  }
  byId("add-notice").replaceChildren();
  const isNamed = byId("keep-names").checked;
  const jobs = [
    ...chosen.map((file) => jobOfFile(file, metadata, isNamed)),
    ...addresses().map((url) => jobOfUrl(url, metadata)),
  ];
  chosen = [];
  left = 0;
  byId("addresses").value = "";
  showChosen();
  queue.start(jobs);
  byId("add-progress").scrollIntoView({ block: "nearest" });
}

function addresses() {
  return byId("addresses").value.split(/\s*\n\s*/).map((one) => one.trim()).filter(Boolean);
}

function jobOfFile(file, metadata, isNamed) {
  const label = pathOf(file);
  const all = { ...(isNamed && { [FILE_KEY]: label }), ...metadata };
  const fields = Object.keys(all).length ? { metadata: all } : {};
  return { label, send: (signal) => post(ROUTE, formOf(file, fields), { signal }) };
}

function jobOfUrl(url, metadata) {
  return { label: url, send: (signal) => post(ROUTE, { url, metadata }, { signal }) };
}

function showChosen() {
  const count = chosen.length + addresses().length;
  const files = chosen.length ? `${counted(chosen.length, "picture")} chosen. ` : "";
  const others = left ? `${counted(left, "file")} left out: no pictures.` : "";
  byId("chosen").textContent = files + others;
  byId("add-start").textContent = count ? `Add ${counted(count, "picture")}` : "Add";
  byId("add-start").disabled = count === 0;
}

function show() {
  const { done, failures, total, isRunning, wasStopped } = queue;
  const answered = done + failures.length;
  byId("add-progress").hidden = false;
  byId("add-bar").max = Math.max(total, 1);
  byId("add-bar").value = answered;
  byId("add-stop").hidden = !isRunning;
  byId("add-retry").hidden = isRunning || (failures.length === 0 && queue.left === 0);
  byId("add-retry").textContent = failures.length ? "Try the failed ones again" : "Go on";
  const text = `${done.toLocaleString("en")} of ${counted(total, "picture")} added`;
  const failed = failures.length ? `, ${failures.length.toLocaleString("en")} failed` : "";
  const end = isRunning ? "…" : wasStopped ? ". Stopped." : ".";
  byId("add-shown").textContent = text + failed + end;
  say(text + failed + end, !isRunning);
  showFailures(failures);
}

/** What a screen reader reads: not every single picture. */
function say(text, isLast) {
  if (!isLast && Date.now() - saidAt < SAID_EVERY_MS) return;
  saidAt = Date.now();
  byId("add-status").textContent = text;
}

function showFailures(failures) {
  const list = byId("add-failure-list");
  byId("add-failures").hidden = failures.length === 0;
  byId("add-failures-title").textContent = `${counted(failures.length, "picture")} could not be added`;
  if (failures.length < list.childElementCount) list.replaceChildren();
  const fresh = failures.slice(list.childElementCount, SHOWN_FAILURES);
  list.append(...fresh.map(({ job, message }) => failure(job.label, message)));
}

function failure(label, message) {
  return make("li", {}, foreign(label, "strong"), make("span", {}, foreign(message)));
}
