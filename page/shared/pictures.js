/** The service's own small pictures. Nothing is loaded from where they came from. */

import { getPicture } from "./api.js";
import { make } from "./dom.js";
import { keptKey } from "./kept-key.js";
import { patiently } from "./patience.js";

/** The metadata key of an uploaded file's path, as `image-search index` has it. */
export const FILE_KEY = "file";
const NEAR = "400px";

/** An `img` cannot send a key: with one, pictures are fetched once they come near the window. */
const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      fetchInto(target, target.dataset.path);
    }
  },
  { rootMargin: NEAR },
);

/**
 * An indexed image's thumbnail, or a quiet stand-in where there is none.
 *
 * @param {string} id - of the image.
 * @param {string} alt - what it shows, as far as that is known.
 * @param {number[]} [objects] - of the image, by their numbers, that are drawn in.
 */
export function thumbnail(id, alt, objects = []) {
  const drawn = objects.length ? `?objects=${objects.join()}` : "";
  return picture(`/images/${encodeURIComponent(id)}/thumbnail${drawn}`, alt);
}

/** The file itself where the service keeps it, else the thumbnail. */
export function original({ id, url }, alt) {
  if (!url.startsWith("upload:")) return thumbnail(id, alt);
  return picture(`/images/${encodeURIComponent(id)}/image`, alt, () => thumbnail(id, alt));
}

/** A picture that a person has chosen, which is here already. */
export function ownPicture(file, alt) {
  return showBlob(make("img", { alt }), file);
}

/** What an image is called: the end of its address, or of the path of the file it was. */
export function nameOf({ url, metadata }) {
  if (!url.startsWith("upload:")) return decoded(lastOf(url.split(/[?#]/)[0])) || url;
  const file = metadata?.[FILE_KEY];
  return typeof file === "string" && lastOf(file) ? lastOf(file) : "Uploaded picture";
}

function lastOf(path) {
  return path.split("/").pop();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not UTF-8
  }
}

/** An `img` does not tell why it failed: then the picture is fetched, as often as that may help. */
function picture(path, alt, instead = standIn) {
  const image = make("img", { alt, decoding: "async" });
  const fail = () => image.replaceWith(instead());
  if (keptKey()) {
    image.addEventListener("error", fail, { once: true });
    image.dataset.path = path;
    seen.observe(image);
    return image;
  }
  const again = () => {
    image.addEventListener("error", fail, { once: true });
    fetchInto(image, path);
  };
  image.addEventListener("error", again, { once: true });
  image.loading = "lazy";
  image.src = `.${path}`;
  return image;
}

async function fetchInto(image, path) {
  const blob = await patiently(() => getPicture(path), () => image.isConnected).catch(() => null);
  if (blob) showBlob(image, blob);
  else image.dispatchEvent(new Event("error"));
}

function showBlob(image, blob) {
  const address = URL.createObjectURL(blob);
  const done = () => URL.revokeObjectURL(address);
  image.addEventListener("load", done, { once: true });
  image.addEventListener("error", done, { once: true });
  image.src = address;
  return image;
}

function standIn() {
  return make("span", { class: "stand-in" }, "No preview");
}
