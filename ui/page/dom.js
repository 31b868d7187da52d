// Describing elements, and changing what is on the page to match. Text is
// only ever set as text: data cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

// h describes an element: h("a", {href: "/"}, "Home"). Children may be nested
// lists; null and false are left out. A prop that starts with "on" is a
// handler, "key" tells siblings apart when they move.
export function h(tag, props, ...children) {
  return {tag, props: props || {}, children: children.flat(Infinity).filter((c) => c != null && c !== false && c !== true)};
}

// render makes the children of an element what is described. Elements that
// stay keep their focus, scroll position and selection.
export function render(parent, ...children) {
  patchChildren(parent, children.flat(Infinity).filter((c) => c != null && c !== false), parent.namespaceURI === SVG);
}

function patchChildren(parent, wanted, svg) {
  const keyed = new Map();
  for (const node of parent.childNodes) {
    if (node.orionKey !== undefined) keyed.set(node.orionKey, node);
  }
  let at = parent.firstChild;
  for (const want of wanted) {
    let node = at;
    const key = want.props?.key;
    if (key !== undefined) node = keyed.get(key);
    else while (node && node.orionKey !== undefined) node = node.nextSibling;
    if (!node || !fits(node, want)) node = create(want, svg);
    if (node !== at) parent.insertBefore(node, at);
    else at = at.nextSibling;
    update(node, want, svg);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function fits(node, want) {
  if (want.tag === undefined) return node.nodeType === Node.TEXT_NODE;
  return node.nodeType === Node.ELEMENT_NODE && node.localName === want.tag && node.orionKey === want.props.key;
}

function create(want, svg) {
  if (want.tag === undefined) return document.createTextNode("");
  const node = svg || want.tag === "svg" ? document.createElementNS(SVG, want.tag) : document.createElement(want.tag);
  node.orionKey = want.props.key;
  return node;
}

function update(node, want, svg) {
  if (want.tag === undefined) {
    const text = String(want);
    if (node.data !== text) node.data = text;
    return;
  }
  const before = node.orionProps || {};
  for (const name of Object.keys({...before, ...want.props})) {
    const value = want.props[name];
    if (name === "key" || value === before[name]) continue;
    if (name.startsWith("on") || name === "checked" || name === "disabled" || name === "value") {
      node[name] = value ?? (name.startsWith("on") ? null : "");
    } else if (value == null || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  }
  // A person's click on a box is undone when the data says otherwise.
  if ("checked" in want.props) node.checked = want.props.checked;
  node.orionProps = want.props;
  // An element that fills itself is left alone inside.
  if (!want.props["data-own"]) patchChildren(node, want.children, svg || want.tag === "svg");
}
