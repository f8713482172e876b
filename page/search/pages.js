/** What a search finds, page by page: each goes on where the one before has ended. */

import { get, post } from "../shared/api.js";
import { isList, searchBody } from "./query.js";

const SIZE = 24;
const MOST = 1000; // that one request may ask for
const FARTHEST = 10_000; // where the service's offset ends

/**
 * One search.
 *
 * @param {object} asked - as `searchBody` takes it.
 * @param {?object} filter - in the service's language.
 * @param {number} [first] - how many images the first page has at least.
 */
export class Pages {
  constructor(asked, filter, first = 0) {
    this._size = Math.min(Math.max(SIZE, first), MOST);
    this._asked = { ...asked };
    this._filter = filter;
    this._cursor = "";
    this._reached = 0;
    this.isRanked = !isList(asked);
    this.isOver = false;
    /** How many images the filter keeps. */
    this.total = 0;
  }

  /** The next images. A list goes on behind the last one, whatever has come or gone meanwhile. */
  async next(signal) {
    const answer = await this._answer(signal);
    const images = answer.images ?? answer.results;
    this.total = answer.total ?? this.total;
    this._cursor = answer.next ?? "";
    this._reached += images.length;
    const isLast = images.length < this._size || this._reached > FARTHEST;
    this._size = SIZE;
    this.isOver = this.isRanked ? isLast : !this._cursor;
    return images;
  }

  /** So many of the images that have come are gone from the index; back again where below zero. */
  forget(count) {
    this._reached -= count;
    this.total -= count;
  }

  _answer(signal) {
    const place = this._cursor ? { cursor: this._cursor } : { offset: this._reached };
    const page = { limit: this._size, ...place };
    const counted = this._reached ? page : { ...page, total: true };
    const body = searchBody(this._asked, this._filter, counted);
    if (body) return post("/search_similar_images", body, { signal });
    return get(`/images?${new URLSearchParams(page)}`, { signal });
  }
}
