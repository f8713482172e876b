/** Files that a person chooses, drops or pastes. */

const PICTURES = /\.(?:jpe?g|a?png|webp|gif|bmp|avif|hei[cf]|hif|tiff?|mpo)$/i;

/** Whether a file looks like a picture; what it really is, the service finds out. */
export function isPicture({ type, name }) {
  return type.startsWith("image/") || PICTURES.test(name);
}

/** The paths of dropped files, which browsers tell of those alone that were picked. */
const dropped = new WeakMap();

/** Where a file lies in the folder that was chosen; its name where it was chosen itself. */
export function pathOf(file) {
  const path = dropped.get(file) || file.webkitRelativePath;
  return path?.includes("/") ? path.slice(path.indexOf("/") + 1) : file.name;
}

/** The first picture among some files, if there is one. */
export function firstPicture(files) {
  return files.find(isPicture);
}

/**
 * Take what is dropped or pasted anywhere on the page.
 *
 * @param {Function} take - called with the files.
 */
export function watchFiles(take) {
  const body = document.body;
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) body.classList.remove("dropping");
  });
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    body.classList.remove("dropping");
    take(await droppedFiles(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    // Cells of a table, say, are copied as a picture too: into a field goes their text.
    const isText = event.clipboardData.getData("text/plain") !== "" && isField(event.target);
    if (files.length === 0 || isText) return;
    event.preventDefault();
    take(files);
  });
}

function isField(element) {
  return element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
}

/** The files of a drop, those in folders and in folders of folders too. */
async function droppedFiles({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    dropped.set(file, entry.fullPath.replace(/^\//, ""));
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // It gives a hundred at a time, and an empty list at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return found;
    found.push(...(await Promise.all(some.map(filesIn))).flat());
  }
}
