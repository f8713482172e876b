/** Elements made and found. Whatever is shown becomes text, never markup. */

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Make an element.
 *
 * @param {string} tag - its name.
 * @param {object} properties - attributes; `class`, `data-...` and the like by their own names. An
 *   `on...` function listens; null, undefined and false leave an attribute out.
 * @param {...(Node|string)} children - what it holds; strings become text.
 */
export function make(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function makeSvg(tag, properties = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

/** Text of a stranger: in its own direction, apart from what stands around it. */
export function foreign(text, tag = "bdi") {
  return make(tag, { dir: "auto", class: "foreign" }, text);
}

/**
 * What to do when there is nothing, or when something failed.
 *
 * @param {string} text - what happened.
 * @param {{label: string, act: Function}} [step] - a button that helps on.
 */
export function notice(text, step, kind = "empty") {
  const button = step && make("button", { type: "button", onclick: step.act }, step.label);
  return make("div", { class: `notice ${kind}` }, make("p", {}, foreign(text)), ...(button ? [button] : []));
}

/** A number with its thing: "1 picture", "1,200 pictures". */
export function counted(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** A moment, as people here write it; as it stands where it is none. */
export function moment(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
