/** Waiting for a service that has no room just now: as long as it says, and not for ever. */

const MOST_TRIES = 6;
const LONGEST_S = 30;
const PASSING = new Set([0, 429]); // not reached, or no room for it now

/** Whether a request that failed so may go through a little later. */
export function mayPass({ status }, tries) {
  return PASSING.has(status) && tries < MOST_TRIES;
}

/** How long to wait after so many tries. Chance keeps those that were refused at once apart. */
export function pauseMs({ retryAfterS }, tries) {
  const seconds = Math.min(Math.max(retryAfterS, 2 ** tries / 10), LONGEST_S);
  return seconds * 1000 * (1 + Math.random() / 2);
}

/**
 * Try until it goes through, or until trying again is of no use.
 *
 * @param {Function} send - one request.
 * @param {Function} isWanted - whether anybody still waits for it.
 */
export async function patiently(send, isWanted) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send();
    } catch (error) {
      if (!mayPass(error, tries)) throw error;
      await sleep(pauseMs(error, tries));
      if (!isWanted()) throw error;
    }
  }
}

/** Wait, unless it is given up meanwhile. */
export function sleep(ms, signal) {
  signal?.throwIfAborted();
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
