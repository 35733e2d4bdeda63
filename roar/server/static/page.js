"use strict";
// Every page can be read without this. It adds: hashing a dropped file, buttons that copy, and a drawing that opens in place.

const drop = document.getElementById("drop");
if (drop) {
  const progress = document.getElementById("progress");
  const script = document.currentScript.src.replace(/page\.js.*/, "blake3.js");
  let worker = null;

  const look = (file) => {
    if (worker) worker.terminate();
    worker = new Worker(script);
    progress.textContent = `Hashing ${file.name} …`;
    worker.onmessage = ({ data }) => {
      if (data.hash) {
        progress.textContent = data.hash;
        window.location.assign(`/search?q=${data.hash}`);
      } else if (data.error) {
        progress.textContent = `${file.name} cannot be read: ${data.error}`;
      } else if (file.size) {
        progress.textContent = `Hashing ${file.name} … ${Math.floor((100 * data.done) / file.size)} %`;
      }
    };
    worker.onerror = () => { progress.textContent = "This browser cannot hash it here; b3sum FILE does."; };
    worker.postMessage(file);
  };

  drop.hidden = false;
  document.getElementById("file").addEventListener("change", ({ target }) => { if (target.files[0]) look(target.files[0]); });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) look(event.dataTransfer.files[0]);
  });
}

function addCopy(place, text, what) {
  if (!navigator.clipboard) return;
  const button = document.createElement("button");
  button.className = "copy";
  const say = (word) => { button.textContent = word; button.setAttribute("aria-label", `${word} ${what}`); };
  say("Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    say("Copied");
    setTimeout(say, 1500, "Copy");
  });
  place.append(button);
}
for (const block of document.querySelectorAll(".commands")) addCopy(block, block.textContent.trim(), "the commands");
for (const text of document.querySelectorAll("[data-copy]")) addCopy(text, text.textContent.trim(), "the id");

// A double click sends a form once: its answer would be lost to the second, for which the code is used up.
let sent = -Infinity;
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (event.timeStamp - sent < 1000) event.preventDefault();
    else sent = event.timeStamp;
  });
}

// The code that lets a browser in stands behind the #, which is sent nowhere: it goes into the form, and out of the history.
const entrance = document.getElementById("enter");
function bringCode() {
  if (!window.location.hash) return;
  entrance.elements.code.value = window.location.hash.slice(1);
  window.history.replaceState(null, "", window.location.pathname);
  entrance.requestSubmit();
}
if (entrance) {
  bringCode();
  window.addEventListener("hashchange", bringCode);
}

// The drawing begins at what the page is about.
function centre(frame, box) {
  if (!box) return;
  frame.scrollLeft = box.x.baseVal.value + 115 - frame.clientWidth / 2;
  frame.scrollTop = box.y.baseVal.value + 22 - frame.clientHeight / 2;
}

// What is folded opens in place: the same page is asked for, and its drawing takes the place of this one. The focus goes
// to the first box that is new, and the line below, which is spoken, says how many there are now.
async function open(event) {
  const link = event.target.closest("a");
  const frame = event.currentTarget;
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const to = link.href.baseVal;
  if (!/[?&]open=/.test(to)) return;
  event.preventDefault();
  frame.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(to, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = new Set([...frame.querySelectorAll(".node title")].map((title) => title.textContent));
    frame.replaceChildren(...page.querySelector(".drawing").childNodes);
    document.getElementById("drawn").replaceChildren(...page.getElementById("drawn").childNodes);
    window.history.replaceState(null, "", to);
    const nodes = [...frame.querySelectorAll(".node")];
    const fresh = nodes.filter((node) => !before.has(node.querySelector("title").textContent));
    const first = fresh.find((node) => !node.classList.contains("more")) || fresh[0] || nodes[0];
    if (!first) return;
    first.focus({ preventScroll: true });
    centre(frame, first.querySelector("rect"));
  } catch {
    window.location.assign(to);
  } finally {
    frame.removeAttribute("aria-busy");
  }
}
for (const frame of document.querySelectorAll(".drawing")) {
  centre(frame, frame.querySelector(".focus rect"));
  frame.addEventListener("click", open);
}
