// What scripts add to the dashboard. Every page works without: this makes some things easier.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// An element with attributes and children; texts stay texts.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const csrf = () => $("input[name=csrf]").value;

// The main part of an answer in place of what is shown.
function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  $("#main").replaceWith(page.querySelector("#main"));
  begin();
  $("[autofocus]", $("#main"))?.focus();
}

// --- Expressions in colours -------------------------------------------------------------------------------------

const TOKEN = new RegExp(
  [
    String.raw`(?<text>r(#*)".*?(?:"\2|$)|"(?:\\.|[^"\\])*(?:"|$))`,
    String.raw`(?<list>\$[\w.]*)`,
    String.raw`(?<word>\b(?:and|or|not|xor|in|eq|ne|lt|le|gt|ge|contains|matches|wildcard|strict|any|all|true|false)\b|&&|\|\||\^\^|[!=<>]=?|~)`,
    String.raw`(?<number>\b\d[\d.:/a-fA-F]*)`,
    String.raw`(?<function>\b[a-z_]\w*(?=\s*\())`,
    String.raw`(?<field>\b[a-z_]\w*(?:\.\w+)+|\bssl\b)`,
  ].join("|"),
  "gs",
);

function painted(text) {
  const parts = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    parts.append(text.slice(end, match.index), element("span", { class: `t-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  parts.append(text.slice(end));
  return parts;
}

function paintAll() {
  for (const code of all("[data-expression]")) code.replaceChildren(painted(code.textContent));
}

// --- The order of rules -----------------------------------------------------------------------------------------

function order() {
  const form = $("#rules[data-rules]");
  if (!form) return;
  const move = (row, place) => {
    form.append(element("input", { type: "hidden", name: "to", value: String(place) }));
    form.action = row.dataset.move;
    form.submit();
  };
  const place = (row) => Number(row.dataset.place);
  form.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-move]");
    const step = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    if (!row || !step || !event.altKey) return;
    event.preventDefault();
    if (!$(`button[value=${step}]`, row).disabled) move(row, step);
  });
  let dragged = null;
  const clear = () => all(".drop-before, .drop-after").forEach((row) => row.classList.remove("drop-before", "drop-after"));
  form.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("tr[data-move]");
    dragged?.classList.add("dragged");
    event.dataTransfer.effectAllowed = "move";
  });
  form.addEventListener("dragover", (event) => {
    const row = event.target.closest("tr[data-move]");
    if (!dragged || !row) return;
    event.preventDefault();
    clear();
    if (row !== dragged) row.classList.add(place(row) < place(dragged) ? "drop-before" : "drop-after");
  });
  form.addEventListener("drop", (event) => {
    const row = event.target.closest("tr[data-move]");
    if (!dragged || !row) return;
    event.preventDefault();
    if (row !== dragged) move(dragged, place(row));
  });
  form.addEventListener("dragend", () => {
    dragged?.classList.remove("dragged");
    dragged = null;
    clear();
  });
}

// --- The expression editor --------------------------------------------------------------------------------------

let names = null;
async function known() {
  names ??= await fetch("/dashboard/assets/names.json").then((answer) => answer.json());
  return names;
}

function editor() {
  const area = $("#expression");
  if (!area) return;
  answeredFor = area.value;
  $("#everybody input").addEventListener("change", checkSoon);
  const frame = area.parentElement;
  const paint = element("pre", { class: "paint", "aria-hidden": "true" });
  const completions = element("ul", { class: "completions", id: "completions", role: "listbox", hidden: true });
  frame.classList.add("painted");
  frame.prepend(paint);
  frame.append(completions);
  area.setAttribute("aria-controls", "completions");
  const repaint = () => {
    paint.replaceChildren(painted(area.value), "\n");
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`;
    paint.scrollTop = area.scrollTop;
  };
  area.addEventListener("input", () => (repaint(), suggest(false), checkSoon()));
  area.addEventListener("scroll", () => (paint.scrollTop = area.scrollTop));
  area.addEventListener("painted", repaint);

  let chosen = -1;
  const close = () => {
    completions.hidden = true;
    area.removeAttribute("aria-activedescendant");
  };
  const choose = (index) => {
    const options = all("li", completions);
    chosen = (index + options.length) % options.length;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === chosen)));
    options[chosen].scrollIntoView({ block: "nearest" });
    area.setAttribute("aria-activedescendant", options[chosen].id);
  };
  const before = () => area.value.slice(0, area.selectionStart).match(/[$\w.]*$/)[0];
  const accept = (text) => {
    const start = area.selectionStart - before().length;
    area.setRangeText(text, start, area.selectionStart, "end");
    close();
    repaint();
    checkSoon();
    area.focus();
  };
  async function suggest(isAsked) {
    const { fields, functions } = await known();
    const lists = JSON.parse($("#builder").dataset.lists).map(({ name, kind }) => ({ name: `$${name}`, about: `list of ${kind}` }));
    const written = before().toLowerCase();
    if (!isAsked && written.length < 2) return close();
    const fits = (name) => name !== written && (name.startsWith(written) || (written.length > 1 && name.includes(written)));
    const calls = functions.map((call) => ({ ...call, insert: `${call.name}(` }));
    const found = [...lists, ...fields, ...calls].filter(({ name }) => fits(name)).slice(0, 50);
    if (!found.length) return close();
    completions.replaceChildren(
      ...found.map(({ name, about, insert }, index) =>
        element(
          "li",
          { role: "option", id: `completion-${index}`, onmousedown: (event) => (event.preventDefault(), accept(insert ?? name)) },
          element("code", {}, name),
          " ",
          element("span", { class: "about" }, about),
        ),
      ),
    );
    all("li", completions).forEach((option, index) => (option.accept = () => accept(found[index].insert ?? found[index].name)));
    completions.hidden = false;
    choose(0);
  }
  area.addEventListener("blur", close);
  area.addEventListener("keydown", (event) => {
    if (event.key === " " && event.ctrlKey) return event.preventDefault(), void suggest(true);
    if (completions.hidden) return;
    const options = all("li", completions);
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter" || event.key === "Tab") options[chosen].accept();
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  repaint();
}

// What the server says of an expression, or of rows.
async function check(fields) {
  const body = new URLSearchParams({ csrf: csrf(), ...fields });
  const answer = await fetch($("#builder").dataset.check, { method: "POST", body }).catch(() => null);
  return answer?.ok ? answer.json() : { errors: ["The expression cannot be checked now. It will be when it is saved."] };
}

function diagnose({ errors = [], doubts = [], advice = null }) {
  const block = (text, kind) => element("pre", { class: kind }, text);
  const fine = errors.length || doubts.length ? [] : [element("p", { class: "fine" }, "✓ The expression is good.")];
  $("#diagnostic").replaceChildren(...errors.map((text) => block(text, "error")), ...doubts.map((text) => block(text, "doubt")), ...fine);
  if (advice && !errors.length) $("#diagnostic").append(element("p", { class: "notice" }, advice));
  $("#expression").setAttribute("aria-invalid", String(errors.length > 0));
}

// Whether everybody is to pass is asked where the expression says so, and answered for that expression alone.
let answeredFor = null;
function everybody(said) {
  const box = $("#everybody input");
  const expression = $("#expression").value;
  if (answeredFor !== null && answeredFor !== expression) box.checked = false;
  answeredFor = expression;
  $("#everybody").hidden = !said.opens_for_everybody;
}

const acknowledged = () => {
  const isSame = answeredFor === null || answeredFor === $("#expression").value;
  return isSame && $("#everybody input").checked ? { everybody: "yes" } : {};
};

let timer = 0;
function checkSoon() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const expression = $("#expression").value;
    if (!expression.trim()) return $("#diagnostic").replaceChildren();
    const said = await check({ expression, ...acknowledged() });
    if ($("#expression").value !== expression) return;
    diagnose(said);
    everybody(said);
  }, 250);
}

// --- The rule builder -------------------------------------------------------------------------------------------

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

// Country codes and their names, as far as the browser knows them.
function countries() {
  const names = new Intl.DisplayNames(["en"], { type: "region", fallback: "none" });
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  const codes = letters.flatMap((first) => letters.map((second) => first + second));
  // Groups of countries, parts of them, and what is no place. Browsers also know countries by codes of the past.
  const others = ["EU", "EZ", "UN", "ZZ", "QO", "XA", "XB", "AC", "CP", "CQ", "DG", "EA", "IC", "TA"];
  const isOne = (code) => names.of(code) && !others.includes(code) && new Intl.Locale(`und-${code}`).region === code;
  const found = codes.filter(isOne).map((code) => [code, names.of(code)]);
  return found.sort((one, other) => one[1].localeCompare(other[1]));
}

function builder() {
  const place = $("#builder");
  if (!place || place.closest("fieldset").disabled) return;
  const area = $("#expression");
  const fields = JSON.parse(place.dataset.fields);
  const lists = JSON.parse(place.dataset.lists);
  const field = (name) => fields.find((known) => known.name === name) ?? fields[0];
  const fresh = () => ({ field: fields[0].name, operator: fields[0].operators[0].name, values: [""] });
  let groups = place.dataset.rows ? JSON.parse(place.dataset.rows).groups : area.value.trim() ? null : [[fresh()]];
  let asked = 0;
  // Until somebody changes the rows, the expression stays as it was written.
  let isChanged = !area.value.trim();

  const preview = element("pre", { class: "preview code", id: "preview", "aria-live": "polite" });
  const incomplete = element("p", { class: "wrong" });
  const rows = element("div", {});
  // Sent with the form, in place of the expression.
  const sent = element("input", { type: "hidden", name: "rows" });
  const why = element("div", { role: "alert" });
  const toEditor = element("button", { type: "button", onclick: () => mode(false) }, "Edit expression");
  const toBuilder = element("button", { type: "button", onclick: back }, "Use expression builder");
  const shown = element("div", {}, rows, sent, element("p", { class: "label" }, "Expression preview"), preview, incomplete);
  place.replaceChildren(shown, why, element("div", { class: "actions" }, toEditor, toBuilder));

  function mode(isBuilder) {
    shown.hidden = toEditor.hidden = !isBuilder;
    sent.disabled = !isBuilder || !isChanged;
    $("#editor label").hidden = $("#editor .editor").hidden = $("#expression-help").hidden = isBuilder;
    toBuilder.hidden = isBuilder;
    area.required = !isBuilder;
    why.replaceChildren();
    if (isBuilder) render();
    else area.dispatchEvent(new Event("painted"));
  }

  // From the expression back to rows, where it has any.
  async function back() {
    const begin = (wanted) => ((groups = wanted), mode(true), changed());
    if (!area.value.trim()) return begin([[fresh()]]);
    const said = await check({ expression: area.value });
    if (said.rows) return begin(said.rows.groups);
    why.replaceChildren(
      element(
        "div",
        { class: "notice" },
        element("p", {}, `The builder cannot show this expression: ${said.why_no_rows ?? said.errors[0]}.`),
        element("button", { type: "button", onclick: () => begin([[fresh()]]) }, "Discard it and start anew"),
        " ",
        element("button", { type: "button", onclick: () => (why.replaceChildren(), area.focus()) }, "Keep the expression"),
      ),
    );
    $("button", why).focus();
  }

  async function changed() {
    const number = ++asked;
    isChanged = true;
    sent.disabled = false;
    sent.value = JSON.stringify({ groups });
    const said = await check({ rows: sent.value, ...acknowledged() });
    if (number !== asked) return;
    incomplete.textContent = said.incomplete ?? "";
    area.value = said.expression ?? "";
    preview.replaceChildren(painted(area.value));
    everybody(said);
    if (said.incomplete) $("#diagnostic").replaceChildren();
    else diagnose(said);
  }

  function select(label, choices, value, onchange, attributes = {}) {
    const options = choices.map(([name, text]) => element("option", { value: name, selected: [value].flat().includes(name) }, text));
    return element("label", {}, label, element("select", { onchange, ...attributes }, ...options));
  }

  function values(row) {
    const { editor } = field(row.field);
    const isSet = ["in", "not_in"].includes(row.operator);
    const set = (wanted) => ((row.values = wanted), changed());
    if (["is_true", "is_false"].includes(row.operator)) return [];
    if (["in_list", "not_in_list"].includes(row.operator)) {
      const kind = { address: "ip", number: "asn" }[editor] ?? "hostname";
      const fitting = lists.filter((list) => list.kind === kind).map(({ name }) => [name, `$${name}`]);
      if (!fitting.length) return [element("p", { class: "help" }, `There is no list of this kind (${kind}).`)];
      if (!fitting.some(([name]) => name === row.values[0])) row.values = [fitting[0][0]];
      return [select("List", fitting, row.values[0], (event) => set([event.target.value]))];
    }
    const fixed = { country: countries, method: () => METHODS.map((name) => [name, name]) }[editor];
    const isChosen = isSet || ["equals", "not_equal"].includes(row.operator);
    if (fixed && isChosen) {
      const choices = fixed();
      row.values = row.values.filter(Boolean);
      if (!row.values.length && !isSet) row.values = [choices[0][0]];
      const isOther = (value) => !choices.some(([name]) => name === value);
      choices.push(...row.values.filter(isOther).map((value) => [value, value]));
      const read = (event) => set([...event.target.selectedOptions].map(({ value }) => value));
      return [select("Value", choices, row.values, read, isSet ? { multiple: true, size: "5" } : {})];
    }
    const hint = { address: "192.0.2.1 or 192.0.2.0/24", number: "" }[editor] ?? "";
    const read = (event) => set(isSet ? event.target.value.split("\n").filter((line) => line.trim()) : [event.target.value]);
    const input = isSet ? element("textarea", { rows: "3", oninput: read }) : element("input", { type: "text", placeholder: hint, oninput: read });
    input.value = isSet ? row.values.join("\n") : (row.values[0] ?? "");
    return [element("label", { class: "wide" }, isSet ? "Values, one a line" : "Value", input)];
  }

  function line(group, row, number) {
    const { key, operators } = field(row.field);
    const again = (focus) => (render(), changed(), $(focus, rows)?.focus());
    const id = (part) => `${part}-${groups.indexOf(group)}-${number}`;
    const chooseField = (event) => {
      row.field = event.target.value;
      const chosen = field(row.field);
      if (!chosen.operators.some(({ name }) => name === row.operator)) row.operator = chosen.operators[0].name;
      if (chosen.key) row.key = "";
      else delete row.key;
      row.values = [""];
      again(`#${id("field")}`);
    };
    const remove = () => {
      group.splice(number, 1);
      if (!group.length) groups.splice(groups.indexOf(group), 1);
      if (!groups.length) groups.push([fresh()]);
      again("select");
    };
    const keyInput = element("input", { type: "text", oninput: (event) => ((row.key = event.target.value), changed()) });
    keyInput.value = row.key ?? "";
    return element(
      "div",
      { class: "builder-row", role: "group", "aria-label": `Condition ${number + 1}` },
      select("Field", fields.map(({ name, label }) => [name, label]), row.field, chooseField, { id: id("field") }),
      ...(key ? [element("label", {}, "Name", keyInput)] : []),
      select("Operator", operators.map(({ name, label }) => [name, label]), row.operator, (event) => {
        row.operator = event.target.value;
        again(`#${id("operator")}`);
      }, { id: id("operator") }),
      ...values(row),
      element("button", { type: "button", "aria-label": `Remove condition ${number + 1}`, onclick: remove }, "✕"),
    );
  }

  function render() {
    const add = (group) => {
      group.push(fresh());
      render();
      changed();
      $(`#field-${groups.indexOf(group)}-${group.length - 1}`).focus();
    };
    const parts = groups.flatMap((group, at) => [
      ...(at ? [element("p", { class: "between" }, "or")] : []),
      element(
        "div",
        { class: "group", role: "group", "aria-label": `Group ${at + 1}` },
        ...group.flatMap((row, number) => [...(number ? [element("p", { class: "between" }, "and")] : []), line(group, row, number)]),
        element("button", { type: "button", onclick: () => add(group) }, "And"),
      ),
    ]);
    const or = () => (groups.push([]), add(groups.at(-1)));
    rows.replaceChildren(...parts, element("button", { type: "button", onclick: or }, "Or"));
    sent.value = JSON.stringify({ groups });
  }

  mode(groups !== null);
  if (groups !== null && area.value.trim()) preview.replaceChildren(painted(area.value));
}

// --- Try it -----------------------------------------------------------------------------------------------------

// Of a recording only what is needed leaves the browser: no headers, no cookies, no bodies.
function reduced(text) {
  try {
    const { log } = JSON.parse(text);
    const entries = log.entries.map(({ request, _resourceType }) => ({ request: { method: request.method, url: request.url }, _resourceType }));
    return JSON.stringify({ log: { entries } });
  } catch {
    return text;
  }
}

function attempts() {
  for (const button of all("button[data-try]")) {
    button.addEventListener("click", async (event) => {
      event.preventDefault();
      $("#outcome").replaceChildren("…");
      const fields = new URLSearchParams(new FormData(button.form));
      fields.set("har", reduced(fields.get("har")));
      const answer = await fetch(button.formAction, { method: "POST", body: fields }).catch(() => null);
      const page = new DOMParser().parseFromString((await answer?.text()) ?? "", "text/html");
      all("[autofocus]", page).forEach((one) => one.removeAttribute("autofocus"));
      const said = answer?.ok ? page.querySelector("#outcome").childNodes : all("[role=alert]", page);
      const silent = element("p", { class: "wrong", role: "alert" }, "The server does not answer. Try again.");
      $("#outcome").replaceChildren(...(said.length ? said : [silent]));
      paintAll();
    });
  }
  $("#har-file")?.addEventListener("change", async ({ target }) => ($("#har").value = reduced(await target.files[0].text())));
  longPastes($("#har"), (text) => ($("#har").value = reduced(text)));
}

// Browsers take seconds to put a long text into a text area, and answer nothing meanwhile.
function longPastes(area, take) {
  area?.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain");
    if (text.length < 50_000) return;
    event.preventDefault();
    take(text);
  });
}

// --- Importing items --------------------------------------------------------------------------------------------

function imports() {
  const form = $("#import");
  // It is sent as a file would be.
  longPastes($("#items-text"), (text) => {
    const chosen = new DataTransfer();
    chosen.items.add(new File([text], "pasted.txt"));
    $("#file").files = chosen.files;
    $("#progress").replaceChildren(element("p", {}, `${text.trim().split("\n").length} lines are pasted: too many to show. Import sends them.`));
  });
  form?.addEventListener("submit", async (event) => {
    const file = $("#file").files[0];
    if (!file) return;
    event.preventDefault();
    const button = event.submitter;
    button.disabled = true;
    const fields = new URLSearchParams(new FormData(form));
    fields.set("items", [fields.get("items"), await file.text()].filter(Boolean).join("\n"));
    const bar = element("progress", { max: "1", value: "0", "aria-label": "Sent" });
    const words = element("p", {}, `Sending ${file.name}…`);
    $("#progress").replaceChildren(words, bar);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("content-type", "application/x-www-form-urlencoded");
    request.upload.onprogress = ({ loaded, total }) => (bar.value = loaded / total);
    request.upload.onload = () => (words.textContent = "Reading the items…");
    request.onerror = () => {
      words.textContent = "The connection broke off. Look whether the items are there, or import them again: that does no harm.";
      button.disabled = false;
    };
    request.onload = () => {
      if (request.status < 400) history.pushState(null, "", request.responseURL);
      show(request.responseText);
    };
    request.send(fields);
  });
}

function operations() {
  const notice = $("[data-operation]");
  if (!notice) return;
  const look = async () => {
    const answer = await fetch(notice.dataset.operation).catch(() => null);
    // Else the session has ended, or the server does not answer: to load the page again tells.
    const { status } = answer?.ok && !answer.redirected ? await answer.json() : {};
    if (status === "pending" || status === "running") setTimeout(look, 500);
    else location.reload();
  };
  setTimeout(look, 300);
}

// ----------------------------------------------------------------------------------------------------------------

function begin() {
  all(".with-scripts").forEach((hidden) => (hidden.hidden = false));
  paintAll();
  order();
  editor();
  builder();
  attempts();
  imports();
  operations();
}

// The way back leads to rules as they are now, not as the browser remembers them.
addEventListener("pageshow", ({ persisted }) => persisted && $("#rules") && location.reload());

// Once is enough, however often a button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => delete form.dataset.sent, 5000);
});

begin();
