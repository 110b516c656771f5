"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const selects = [...document.querySelectorAll("select.filter")];
const whole = [...document.querySelectorAll("[data-target]")];
const CHUNK = 100;
let found = [];
let shown = 0;

// "" is no condition, so a value begins with "=": "=" alone stands for rows without one.
const BOUNDS = { since: (month, bound) => month !== "" && month >= bound,
  until: (month, bound) => month !== "" && month <= bound };
const values = (row, field) => [row[field in BOUNDS ? "month" : field]].flat();

function matches(row, wanted, words) {
  for (const [field, value] of wanted) {
    const bound = BOUNDS[field];
    if (!values(row, field).some((own) => bound && value ? bound(own, value) : own === value)) return false;
  }
  return words.every((word) => row.words.includes(word));
}

function update() {
  const chosen = selects.filter((select) => select.value !== "");
  const wanted = chosen.map((select) => [select.dataset.field, select.value.slice(1)]);
  const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = data.rows.filter((row) => matches(row, wanted, words));
  shown = 0;
  byId("list").replaceChildren();
  more();
  const target = selects.find((select) => select.dataset.field === "target" && select.closest(".whole"));
  for (const element of target ? whole : []) {
    element.hidden = target.value !== "" && element.dataset.target !== target.value.slice(1);
  }
  const told = chosen.map((select) => `${select.labels[0].firstChild.textContent.trim()} ${select.selectedOptions[0].textContent}`);
  if (words.length) told.push(`words ${words.join(" ")}`);
  byId("choice").textContent = told.length ? `Only: ${told.join(", ")}` : "";
}

function more() {
  byId("list").append(...found.slice(shown, shown + CHUNK).map(line));
  shown = Math.min(shown + CHUNK, found.length);
  byId("more").hidden = shown === found.length;
  byId("count").textContent = `${found.length} of ${data.rows.length} ${data.things}` +
    (shown < found.length ? `, the first ${shown} shown` : "");
}

function line(row) {
  const tr = document.createElement("tr");
  for (const cell of row.cells) {
    const { text, style, note, before, link } = typeof cell === "string" ? { text: cell } : cell;
    const td = document.createElement("td");
    if (style) td.className = style;
    if (before) small(td, before);
    td.append(text);
    if (note) small(td, note, link);
    tr.append(td);
  }
  return tr;
}

function small(td, text, link) {
  const element = document.createElement("small");
  const a = link ? document.createElement("a") : element;
  a.textContent = text;
  if (link) {
    a.href = link;
    element.append(a);
  }
  td.append(element);
}

function option(select, value) {
  const made = document.createElement("option");
  made.value = `=${value}`;
  made.textContent = value === "" ? "none" : select.dataset.field === "tag" ? value.replaceAll("_", " ") : value;
  select.append(made);
}

for (const name of data.columns) {
  const th = document.createElement("th");
  th.scope = "col";
  th.textContent = name;
  byId("head").append(th);
}
for (const select of selects) {
  if (select.options.length > 1) continue;
  const own = [...new Set(data.rows.flatMap((row) => values(row, select.dataset.field)))].sort();
  for (const value of own) option(select, value);
}
for (const row of data.rows) {
  row.words = row.cells.map((cell) => typeof cell === "string" ? cell : `${cell.text} ${cell.note || ""}`).join(" ").toLowerCase();
}
for (const select of selects) select.addEventListener("change", update);
byId("words").addEventListener("input", update);
byId("more").addEventListener("click", () => {
  const first = shown;
  more();
  const row = byId("list").children[first];
  row.tabIndex = -1;
  row.focus();
});
byId("reset").addEventListener("click", () => {
  for (const select of selects) select.value = "";
  byId("words").value = "";
  update();
});
for (const button of document.querySelectorAll(".go")) {
  button.addEventListener("click", () => {
    const picked = JSON.parse(button.dataset.picked);
    for (const select of selects) {
      const value = picked[select.dataset.field];
      select.value = value === undefined ? "" : `=${value}`;
      if (select.selectedIndex < 0) {
        option(select, value);
        select.value = `=${value}`;
      }
    }
    byId("words").value = "";
    update();
    byId("sentences").querySelector("h2").focus();
  });
}
// What is folded up belongs on paper too.
const details = [...document.querySelectorAll("details")];
let folded = [];
addEventListener("beforeprint", () => {
  folded = details.filter((element) => !element.open);
  for (const element of folded) element.open = true;
});
addEventListener("afterprint", () => {
  for (const element of folded) element.open = false;
});
update();
