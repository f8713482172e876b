/** The service's routes, as this page calls them. */

import { keptKey, withKey } from "./kept-key.js";
import { askForKey } from "./key.js";

const UNREACHABLE = "The service cannot be reached. Is it running?";

/** What the service refused, in its own words, or that it could not be had (status 0). */
export class ApiError extends Error {
  constructor(message, status = 0, retryAfterS = 0) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** GET a route, as JSON. */
export async function get(path, { signal } = {}) {
  return (await answered(path, { signal })).json();
}

/**
 * POST to a route, and read the JSON that it answers.
 *
 * @param {string} path - the route.
 * @param {object|FormData} body - JSON, or a form with a picture.
 * @param {{signal: ?AbortSignal, requestId: ?string}} [more] - a name of the request's own, by which
 *   the log of changes has it.
 */
export async function post(path, body, { signal, requestId } = {}) {
  return sent("POST", path, body, { signal, headers: requestId ? { "X-Request-ID": requestId } : {} });
}

/** PATCH JSON, and read the JSON that is answered. */
export async function patch(path, body, { signal } = {}) {
  return sent("PATCH", path, body, { signal, headers: {} });
}

async function sent(method, path, body, { signal, headers }) {
  const isForm = body instanceof FormData;
  const all = isForm ? headers : { ...headers, "Content-Type": "application/json" };
  const options = { method, body: isForm ? body : JSON.stringify(body), headers: all, signal };
  return (await answered(path, options)).json();
}

/** GET a picture, as a blob; null where there is none. */
export async function getPicture(path, { signal } = {}) {
  try {
    return await (await answered(path, { signal })).blob();
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** A form as the routes take it: the picture's file, and texts. */
export function formOf(file, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    form.append(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  // What the file is called here is nobody's business there.
  form.append("image", file, "picture");
  return form;
}

/** Fetch with the key; asks for one, and tries again, as often as the service wants another. */
async function answered(path, options) {
  for (;;) {
    const key = keptKey();
    const response = await reached(path, options);
    if (response.status === 401) {
      await askForKey(key);
    } else if (!response.ok) {
      throw await refused(response);
    } else {
      return response;
    }
  }
}

async function reached(path, options) {
  try {
    const headers = { ...options.headers, ...withKey() };
    return await fetch(`.${path}`, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE);
  }
}

async function refused(response) {
  const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  let message = `The service answered ${response.status}.`;
  try {
    message = (await response.json()).message ?? message;
  } catch {
    // Something in front of the service answered, not in JSON.
  }
  return new ApiError(message, response.status, retryAfterS);
}
