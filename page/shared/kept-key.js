/** The API key of this tab: in its session storage, gone when the tab is closed. */

const NAME = "image-search-key";

/** The key, or "" where there is none. */
export function keptKey() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Keep a key, or forget it where it is empty. */
export function keepKey(key) {
  if (key) sessionStorage.setItem(NAME, key);
  else sessionStorage.removeItem(NAME);
}

/** The headers that carry the key: in UTF-8, as the service reads it. */
export function withKey() {
  const bytes = new TextEncoder().encode(keptKey());
  return bytes.length ? { Authorization: `Bearer ${String.fromCharCode(...bytes)}` } : {};
}

/** Whether the service answered this very page with 401. */
export function isWanted() {
  return performance.getEntriesByType("navigation")[0]?.responseStatus === 401;
}
