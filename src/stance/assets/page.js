"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const sentences = [...document.querySelectorAll(".s")];
const rows = [...document.querySelectorAll("tbody tr")];
const marks = [...document.querySelectorAll(".strip .mark")];
const bars = [...document.querySelectorAll(".strip rect.bar")];

function stanceOf(row) {
  const target = byId("target").value;
  return target === "" ? null : row.stance.find((s) => String(s.target) === target) || null;
}

function update() {
  const speaker = byId("speaker").value;
  const taken = byId("taken").checked;
  const shown = new Set([...document.querySelectorAll(".tag:checked")].map((box) => box.value));
  data.forEach((row, i) => {
    const stance = stanceOf(row);
    const label = stance && stance.label !== "neutral" ? stance.label : "";
    const visible = (row.tags.length === 0 || row.tags.some((tag) => shown.has(tag))) &&
      (speaker === "" || row.speaker === speaker) && (!taken || label !== "");
    for (const element of [sentences[i], marks[i]]) {
      for (const name of ["favor", "against"]) element.classList.toggle(name, name === label);
    }
    sentences[i].classList.toggle("doubt", label !== "" && stance.unsure);
    for (const element of [sentences[i], bars[i], marks[i]]) element.classList.toggle("out", !visible);
    rows[i].hidden = !visible;
    rows[i].querySelector(".stance").textContent = stance ? stance.shown : "";
  });
  byId("count").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} sentences`;
  const chosen = byId("target").selectedOptions[0];
  byId("choice").textContent = chosen.value === "" ? "" : `Stance toward: ${chosen.textContent}`;
}

function show(i) {
  sentences.forEach((element, n) => element.classList.toggle("chosen", n === i));
  bars.forEach((element, n) => element.classList.toggle("chosen", n === i));
  byId("hint").hidden = true;
  const list = byId("facts");
  list.replaceChildren();
  for (const [name, value] of data[i].facts) {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    list.append(dt, dd);
  }
}

sentences.forEach((element, i) => {
  element.addEventListener("focus", () => {
    for (const other of sentences) other.tabIndex = other === element ? 0 : -1;
    show(i);
  });
  element.addEventListener("mouseenter", () => show(i));
  element.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const next = step && sentences[i + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
});
bars.forEach((bar, i) => bar.addEventListener("click", () => sentences[i].focus()));
for (const control of document.querySelectorAll("select, input")) control.addEventListener("change", update);
byId("view").addEventListener("click", () => {
  const table = byId("table").hidden;
  byId("table").hidden = !table;
  byId("reading").hidden = byId("details").hidden = table;
  document.querySelector("main").classList.toggle("wide", table);
  byId("view").setAttribute("aria-pressed", String(table));
});
update();
