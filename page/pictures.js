/** The service's own small pictures. Nothing is loaded from where they came from. */

import { getPicture } from "./api.js";
import { make } from "./dom.js";
import { keptKey } from "./kept-key.js";

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
 */
export function thumbnail(id, alt) {
  return picture(`/images/${encodeURIComponent(id)}/thumbnail`, alt);
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

/** What an image is called: the end of its address. */
export function nameOf({ url }) {
  if (url.startsWith("upload:")) return "Uploaded picture";
  const end = url.split(/[?#]/)[0].split("/").pop();
  try {
    return decodeURIComponent(end) || url;
  } catch {
    return end; // not UTF-8
  }
}

function picture(path, alt, instead = standIn) {
  const image = make("img", { alt, decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(instead()), { once: true });
  if (keptKey()) {
    image.dataset.path = path;
    seen.observe(image);
  } else {
    image.loading = "lazy";
    image.src = `.${path}`;
  }
  return image;
}

async function fetchInto(image, path) {
  const blob = await getPicture(path).catch(() => null);
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
