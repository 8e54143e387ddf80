// Elements without markup: text is always text, so no data can become HTML.

export const byId = (id) => document.getElementById(id);

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Writing only what changed keeps screen readers and the layout quiet.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const words = (code) => code.replaceAll("_", " ");
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// A category is told by shape, letter and colour together.
const SIGNS = {
  life: ["M9 1 17.500 16.500H.5Z", "L", 14],
  intrusion: ["M2 2H16V16H2Z", "I", 12.5],
  trouble: ["M9 .5 17.500 9 9 17.500 .5 9Z", "T", 12.5],
  information: ["M9 1.500A7.500 7.500 0 1 1 8.990 1.500Z", "i", 12.5],
};
export const CATEGORY_WORDS = {
  life: "Life: fire, CO, medical, panic",
  intrusion: "Intrusion",
  trouble: "Trouble: path, power, battery, tamper",
  information: "Information",
};

export function sign(category, size = 18) {
  const [path, letter, baseline] = SIGNS[category] ?? SIGNS.trouble;
  const words = (CATEGORY_WORDS[category] ?? category).split(":")[0];
  return svg("svg", { class: "sign", viewBox: "0 0 18 18", width: size, height: size, role: "img", "aria-label": words },
    svg("path", { d: path }), svg("text", { x: 9, y: baseline }, letter));
}
