// Checks of one rendered page. Each returns [check, element, what is wrong] for every fault.
// `walk.py` adds what to do about it; `test_checks.py` shows each of them a page that must fail.

const describe = (node) => {
  const classes = [...node.classList].slice(0, 2).map((name) => "." + name).join("");
  const text = (node.getAttribute("alt") || node.textContent || "").replace(/\s+/g, " ").trim();
  const name = node.tagName.toLowerCase() + (node.id ? "#" + node.id : classes);
  return text ? `${name} "${text.slice(0, 60)}"` : name;
};

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const article = () => document.querySelector(".bd-article") || document.body;

const headings = () => {
  const found = [];
  const levels = all("h1, h2, h3, h4, h5, h6", article());
  const titles = levels.filter((node) => node.tagName === "H1");
  if (titles.length !== 1) {
    found.push(["headings", "h1", `${titles.length} headings of level 1`]);
  }
  let last = 0;
  for (const node of levels) {
    const level = +node.tagName[1];
    if (level > last + 1) {
      found.push(["headings", describe(node), `level ${level} follows level ${last}`]);
    }
    if (!node.textContent.trim()) {
      found.push(["headings", describe(node), "an empty heading"]);
    }
    last = level;
  }
  return found;
};

const pictures = () => {
  const found = [];
  for (const node of all("img, canvas, svg, [role=img]", article())) {
    // What lies inside a picture is part of it: the outer one carries the words.
    const within = node.parentElement.closest("svg, [role=img]");
    if (node.closest("mjx-container, [aria-hidden=true]") || within) {
      continue;
    }
    const label = document.getElementById(node.getAttribute("aria-labelledby") || "");
    const name = (
      node.getAttribute("alt") || node.getAttribute("aria-label") ||
      label?.textContent || node.querySelector(":scope > title")?.textContent || ""
    ).trim();
    if (!name) {
      found.push(["pictures", describe(node), "no alt text"]);
    } else if (/^\S+\.(png|svg|jpe?g|gif)$/i.test(name)) {
      found.push(["pictures", describe(node), "a file name in place of alt text"]);
    }
    if (node.tagName === "IMG" && node.complete && !node.naturalWidth) {
      found.push(["pictures", describe(node), "the picture does not load"]);
    }
  }
  for (const node of all("figure", article())) {
    if (!node.querySelector("img, svg, canvas, table, video, [role=img]")) {
      found.push(["pictures", describe(node), "a figure without a picture"]);
    }
  }
  return found;
};

const NOT_PROSE = "pre, code, kbd, script, style, template, noscript, textarea, mjx-container, svg";
const RAW = [
  [/\$\$|\$[^$\s][^$]*[\\^_{=][^$]*\$|\\\(|\\\[/, "delimiters of a formula"],
  [/\\(?:[a-zA-Z]{2,}|[{},;])/, "a TeX command"],
  [/\{[a-z][\w:]*\}`|\{\{|\}\}|\{%/, "markup that was not replaced"],
];

const formulas = () => {
  const found = [];
  for (const node of all(".math")) {
    if (!node.querySelector("mjx-container")) {
      found.push(["formulas", describe(node), "was not typeset"]);
    }
  }
  for (const node of all("mjx-merror, [data-mjx-error]")) {
    const what = node.getAttribute("data-mjx-error") || node.textContent;
    found.push(["formulas", describe(node.closest(".math") || node), `MathJax says: ${what}`]);
  }
  const texts = document.createTreeWalker(article(), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (node.parentElement.closest(NOT_PROSE)) continue;
    for (const [pattern, what] of RAW) {
      const hit = pattern.exec(node.data);
      if (hit) {
        found.push(["formulas", describe(node.parentElement), `${what} as text: ${hit[0]}`]);
      }
    }
  }
  return found;
};

const scrolls = (node) => {
  for (; node && node !== document.body; node = node.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(node).overflowX)) return true;
  }
  return false;
};

const layout = () => {
  const root = document.documentElement;
  const edge = root.clientWidth + 1;
  const outside = (node) => node.getBoundingClientRect().right > edge;
  const found = all("*", article())
    .filter((node) => node.checkVisibility() && outside(node) && !scrolls(node.parentElement))
    .filter((node) => !node.parentElement.closest("mjx-container, svg, .visually-hidden"))
    .filter((node) => !outside(node.parentElement))
    .map((node) => ["layout", describe(node), `ends right of the window (${root.clientWidth} px)`]);
  if (!found.length && root.scrollWidth > edge) {
    found.push(["layout", "html", `${root.scrollWidth} px wide in a window of ${root.clientWidth}`]);
  }
  return found;
};

// Where every link of the page leads; whether the targets exist is for those who see the files.
const links = () => all("a[href], area[href]").map((node) => [node.href, describe(node)]);

const ids = () => {
  const seen = new Set();
  const again = (node) => seen.has(node.id) || !seen.add(node.id);
  return all("[id]").filter((node) => !node.closest("mjx-container") && again(node))
    .map((node) => ["ids", describe(node), "an id that the page has already"]);
};

const anchors = () => all("[id], a[name]").flatMap((node) => [node.id, node.name || ""]);

// Contrast is slow to judge where text is long: of all text with the same colours and size, the
// first piece stays and the rest goes, with everything that holds none.
const thin = () => {
  const behind = new Map([[null, ""]]);
  const ground = (node) => {
    if (!behind.has(node)) {
      const style = getComputedStyle(node);
      const own = [style.backgroundColor, style.backgroundImage, style.opacity].join();
      behind.set(node, own + ground(node.parentElement));
    }
    return behind.get(node);
  };
  const seen = new Set();
  const kept = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    if (node.closest("mjx-container")) continue; // has the colour of the text around it
    const style = getComputedStyle(node);
    const look = [style.color, style.fontSize, style.fontWeight, ground(node)].join();
    if (seen.has(look)) continue;
    seen.add(look);
    for (let one = node; one; one = one.parentElement) kept.add(one);
  }
  all("body *").filter((node) => !kept.has(node) && kept.has(node.parentElement))
    .forEach((node) => node.remove());
  return seen.size;
};

// Typeset formulas are thousands of elements without a name.
const unset = () => all("mjx-container").forEach((node) => node.remove());

// Nothing is judged folded: what a reader can open is opened.
const unfold = async () => {
  all("details").forEach((node) => { node.open = true; });
  all(".toggle-button-hidden").forEach((node) => node.click());
  const typeset = Promise.resolve(window.MathJax?.startup?.promise).catch(() => null);
  const patience = new Promise((done) => setTimeout(done, 60000)); // then "was not typeset"
  await Promise.race([typeset, patience]);
  await document.fonts.ready;
};
