// What is hard to read, to hit or to follow on the page that is shown: one text for each flaw, none if all is well. With
// the argument "focus" what takes the focus is looked at, which changes the page; else what is there without.
//
// WCAG 2.2, level AA: contrast (1.4.3, 1.4.11), reflow (1.4.10), focus that is seen (2.4.7), size of targets (2.5.8).

const flaws = [];
const style = (element, pseudo) => getComputedStyle(element, pseudo);
const all = (selector) => [...document.querySelectorAll(selector)].filter(isSeen);
const ancestors = (element) => (element ? [...ancestors(element.parentElement), element] : []);

function isSeen(element) {
  const isClipped = ancestors(element).some((one) => style(one).clipPath !== "none");
  return !isClipped && element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().right > 0;
}

function called(element) {
  const { tagName, id, className, textContent } = element;
  const words = textContent.trim().replaceAll(/\s+/g, " ").slice(0, 40);
  return `${tagName.toLowerCase()}${id && `#${id}`}${className && `.${className.replaceAll(" ", ".")}`} ${JSON.stringify(words)}`;
}

// --- Contrast

const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const mixed = (top, below, alpha) => below.map((part, at) => top[at] * alpha + part * (1 - alpha));
const over = (colour, below) => mixed(parts(colour), below, parts(colour)[3] ?? 1);

// An element's ground, and something on it of that colour, as the screen shows both.
function shown(element, colour) {
  const chain = ancestors(element);
  const paint = (at, below) => {
    const { backgroundColor, opacity } = style(chain[at]);
    const ground = over(backgroundColor, below);
    const inner = at + 1 < chain.length ? paint(at + 1, ground) : [ground, over(colour, ground)];
    return inner.map((colour) => mixed(colour, below, Number(opacity)));
  };
  return paint(0, [255, 255, 255]);
}

function luminance(colour) {
  const linear = (part) => (part <= 10.31475 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const [red, green, blue] = colour.map(linear);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(element, colour, least, what) {
  const [dark, light] = shown(element, colour).map(luminance).sort((one, other) => one - other);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < least) flaws.push(`${what} of ${called(element)}: contrast ${ratio.toFixed(2)}, not ${least}`);
}

// What is disabled may be faint (1.4.3 asks nothing of it), but not so faint that nobody can read it.
function text(element, { color, fontSize, fontWeight }, what = "text") {
  const isLarge = parseFloat(fontSize) >= (fontWeight >= 700 ? 18.66 : 24);
  contrast(element, color, isLarge || element.matches(":disabled") ? 3 : 4.5, what);
}

function contrasts() {
  for (const element of all("body *")) {
    const isControl = element.matches("input, textarea, select");
    const hasWords = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    // The text of the editor is painted by what lies below it.
    const isPainted = parts(style(element).color)[3] === 0;
    if ((hasWords || isControl) && !isPainted) text(element, style(element));
    if (element.placeholder) text(element, style(element, "::placeholder"), "placeholder");
    for (const pseudo of ["::before", "::after"]) {
      const { content } = style(element, pseudo);
      if (content === '""') contrast(element, style(element, pseudo).backgroundColor, 3, pseudo);
      else if (!["none", "normal"].includes(content)) text(element, style(element, pseudo), pseudo);
    }
  }
  for (const control of all("input:not([type=checkbox], [type=radio]), textarea, select, button:enabled, a.button")) {
    contrast(control.parentElement, style(control).borderTopColor, 3, `border of ${called(control)} on the ground`);
  }
}

// --- Size

function sizes() {
  const { scrollWidth } = document.documentElement;
  if (scrollWidth > innerWidth) {
    const wide = all("body *").filter((element) => element.getBoundingClientRect().right > innerWidth);
    flaws.push(`${scrollWidth} wide, by ${wide.slice(0, 3).map(called).join(" and ")}`);
  }
  for (const target of all("a[href], button, input, textarea, select, summary, [role=option]")) {
    const boxes = [target, ...(target.labels ?? [])].map((element) => element.getBoundingClientRect());
    const side = (of) => Math.max(...boxes.map(of));
    const [width, height] = [side((box) => box.width), side((box) => box.height)];
    // Links within a sentence are as high as its lines.
    const isInline = style(target).display === "inline" && target.parentElement.textContent.trim() !== target.textContent.trim();
    if ((width < 24 || height < 24) && !isInline) flaws.push(`${called(target)}: only ${width} by ${height} to hit`);
  }
}

// --- Focus

function focus() {
  for (const element of all("a[href], button:enabled, input:enabled, textarea:enabled, select:enabled, summary")) {
    element.focus();
    const { outlineStyle, outlineColor } = style(element);
    if (outlineStyle === "none") flaws.push(`nobody sees the focus on ${called(element)}`);
    contrast(element.parentElement, outlineColor, 3, `focus on ${called(element)} on the ground`);
  }
}

if (arguments[0] === "focus") focus();
else contrasts(), sizes();
return flaws;
