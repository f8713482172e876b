/** The health of the index: what the service says of its table, in words. */

import { get } from "../shared/api.js";
import { byId, counted, foreign, make, moment, notice } from "../shared/dom.js";

/** Make the view work. */
export function setUp() {
  byId("refresh-health").addEventListener("click", open);
}

/** Ask anew, and show it. */
export async function open() {
  byId("health-status").textContent = "Asking…";
  try {
    const [index, isReady] = await Promise.all([get("/index"), ready()]);
    show(index, isReady);
    byId("health-notice").replaceChildren();
  } catch (error) {
    byId("health-status").textContent = "";
    const again = { label: "Try again", act: open };
    byId("health-notice").replaceChildren(notice(error.message, again, "error"));
  }
}

/** 503 is an answer here, no failure. */
async function ready() {
  const response = await fetch("./readyz").catch(() => null);
  return response?.ok ?? false;
}

function show(index, isReady) {
  const state = isReady ? "The service is ready." : "The service is not ready, or not any more.";
  byId("health-status").textContent = state;
  byId("health-status").className = isReady ? "state good" : "state bad";
  const facts = [...searching(index), ...storing(index), ...upkeep(index.upkeep)];
  const rows = facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  byId("health-facts").replaceChildren(...rows);
  byId("health-columns").replaceChildren(...columns(index.columns));
}

function searching(index) {
  const { rows, dim, vector_index: kind, unindexed_rows: fresh, estimated_recall: recall } = index;
  const { name, pretrained } = index.model;
  const search = kind
    ? `By an index (${kind}); ${counted(fresh, "picture")} not in it yet`
    : "Exact: every picture is compared";
  const share = recall === null ? "Not measured yet" : `${(recall * 100).toFixed(1)}% of the ten nearest`;
  return [
    ["Pictures", rows.toLocaleString("en")],
    ["Model", withSmall(`${name}, ${dim} dimensions`, pretrained)],
    ["Search", search],
    ["Searches find", share],
  ];
}

function storing({ size_bytes: bytes, fragments, version }) {
  return [
    ["Table on disk", bytes === null ? "In an object store" : size(bytes)],
    ["Version", `${version.toLocaleString("en")}, in ${counted(fragments, "file")} of rows`],
  ];
}

function upkeep(report) {
  if (!report) return [["Last upkeep", "Not yet"]];
  const { finished_at: at, seconds, result, did } = report;
  const what = did.length ? did.join("; ") : "nothing to do";
  const end = result === "ok" ? what : result;
  const when = make("time", { datetime: at }, moment(at));
  return [["Last upkeep", withSmall(when, `${seconds.toFixed(1)} s: ${end}`)]];
}

/** A fact, and below it what explains it. */
function withSmall(fact, text) {
  return make("span", {}, fact, make("br"), make("small", {}, foreign(text)));
}

function columns(types) {
  const keys = Object.entries(types);
  if (keys.length === 0) return [];
  const rows = keys.map(([key, type]) =>
    make("tr", {}, make("th", { scope: "row" }, foreign(key)), make("td", {}, type)),
  );
  return [
    make("h2", { id: "columns-title" }, "Metadata"),
    make("table", { "aria-labelledby": "columns-title" }, make("tbody", {}, ...rows)),
  ];
}

function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit += 1) bytes /= 1000;
  return `${bytes.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}
