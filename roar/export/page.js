"use strict";
// The page is readable without this: it adds the search, and a panel for what is clicked.
const data = JSON.parse(document.getElementById("data").textContent);
const panel = document.getElementById("panel");
const search = document.getElementById("search");

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function show(title, rows) {
  panel.replaceChildren();
  const close = element("button", "Close", panel);
  close.className = "close";
  close.onclick = () => { panel.hidden = true; };
  element("h2", title, panel);
  const list = element("dl", undefined, panel);
  for (const [name, value] of rows) {
    if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) continue;
    element("dt", name, list);
    for (const item of Array.isArray(value) ? value : [value]) element("dd", item, list);
  }
  panel.hidden = false;
  close.focus();
}

function showJob(id) {
  const job = data.jobs[id];
  if (!job) return;
  show(job.command, [
    ["Job", id], ["Outcome", job.outcome], ["When", job.when], ["By", job.user], ["Folder", job.cwd], ["Code", job.code],
    ["Not known", job.incomplete], ["Inputs", job.inputs], ["Outputs", job.outputs], ["Numbers", job.metrics],
    ["Packages read", job.packages], ["Machine", job.machine], ["Make it again", job.again],
  ]);
}

function showNode(number) {
  const node = data.nodes[number];
  if (node.kind === "job") return showJob(node.key);
  show(node.title, [["Made by", node.made_by || "no recorded job"], ["Read by", node.used_by], ["Files", node.files]]);
}

for (const node of document.querySelectorAll(".node")) {
  node.addEventListener("click", () => showNode(node.dataset.node));
  node.addEventListener("keydown", (event) => { if (event.key === "Enter") showNode(node.dataset.node); });
}
for (const button of document.querySelectorAll("button[data-job]")) {
  button.addEventListener("click", () => showJob(button.dataset.job));
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") panel.hidden = true; });

const rows = [...document.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const [row, text] of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  document.getElementById("found").textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  for (const node of document.querySelectorAll(".node")) {
    const text = data.nodes[node.dataset.node].text;
    node.classList.toggle("found", words.length > 0 && words.every((word) => text.includes(word)));
  }
});
document.getElementById("controls").hidden = false;

// The drawing begins at what was asked about.
const focus = document.querySelector(".node.focus rect");
const frame = document.getElementById("drawing");
if (focus) {
  frame.scrollLeft = focus.x.baseVal.value - frame.clientWidth / 2;
  frame.scrollTop = focus.y.baseVal.value - frame.clientHeight / 2;
}
