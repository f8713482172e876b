/** Work that is done a few pieces at a time, and that can be stopped and tried again. */

import { mayPass, pauseMs, sleep } from "./patience.js";

const AT_ONCE = 4;
const FORBIDDEN = 403; // the key's scope does not reach so far

/**
 * A queue of jobs, each `{label, send}`, where `send(signal)` is one request.
 *
 * @param {Function} changed - called after each step.
 */
export class Queue {
  constructor(changed) {
    this._changed = changed;
    this._waiting = [];
    this._stopping = new AbortController();
    this._pausedUntil = 0;
    this.done = 0;
    this.failures = [];
    this.total = 0;
    this.isRunning = false;
    this.wasStopped = false;
  }

  /** Work on these jobs, beside those that failed or are left from before. */
  async start(jobs) {
    if (!this.isRunning && this._waiting.length === 0 && this.failures.length === 0) {
      this.done = this.total = 0;
    }
    this._waiting = this._waiting.concat(jobs);
    this.total += jobs.length;
    await this._run();
  }

  /** Begin nothing more, and give up what is under way. It stays to be tried again. */
  stop() {
    this.wasStopped = true;
    this._stopping.abort();
  }

  /** Try what failed, and go on with what is left. */
  async retry() {
    this._waiting = this.failures.map(({ job }) => job).concat(this._waiting);
    this.failures = [];
    await this._run();
  }

  /** How many jobs have not been answered. */
  get left() {
    return this.total - this.done - this.failures.length;
  }

  async _run() {
    if (this.isRunning) return; // those who work find the new jobs
    this.isRunning = true;
    this.wasStopped = false;
    this._stopping = new AbortController();
    this._changed();
    await Promise.all(Array.from({ length: AT_ONCE }, () => this._work()));
    this.isRunning = false;
    this._changed();
  }

  async _work() {
    while (this._waiting.length > 0 && !this.wasStopped) {
      const job = this._waiting.shift();
      try {
        await this._sent(job);
        this.done += 1;
      } catch (error) {
        if (this.wasStopped) this._waiting.unshift(job);
        else this.failures.push({ job, message: error.message });
        if (error.status === FORBIDDEN) this.stop(); // as all others would be
      }
      this._changed();
    }
  }

  async _sent({ send }) {
    for (let tries = 1; ; tries += 1) {
      await sleep(this._pausedUntil - Date.now(), this._stopping.signal);
      try {
        return await send(this._stopping.signal);
      } catch (error) {
        if (!mayPass(error, tries)) throw error;
        // All wait: the service has no more room for the others.
        this._pausedUntil = Date.now() + pauseMs(error, tries);
      }
    }
  }
}
