"use strict";
(() => {
  const MOVES = { s: "mb-skip", b: "mb-back", v: "mb-show", ArrowLeft: "mb-back", ArrowRight: "mb-skip" };
  const view = () => document.querySelector("#mb-stage [data-view]")?.dataset.view;
  let used;

  window.micebenchReviewer = (name) => {
    const address = new URL(location.href);
    address.searchParams.set("reviewer", name.trim().toLowerCase());
    history.replaceState(null, "", address);
  };

  const typing = (node) => node.matches?.("input, textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "f") return flip(true);
    if (event.repeat) return;
    if (event.key === "m") {
      const note = document.querySelector("#mb-note textarea, #mb-note input");
      if (note?.offsetParent) { event.preventDefault(); note.focus(); }
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const button = document.getElementById(MOVES[key] ?? (/^[a-z0-9]$/.test(key) ? `mb-key-${key}` : ""));
    if (!button || !button.offsetParent) return;
    event.preventDefault();
    if (view() === used) return; // the answer to this one is on its way
    used = view();
    setTimeout(() => { used = undefined; }, 4000);
    button.click();
  });
  document.addEventListener("keyup", (event) => { if (event.key === "f") flip(false); });
  window.addEventListener("blur", () => flip(false));

  /* While f is held, the image to compare with stands in the place of the judged one. */
  function flip(on) {
    const judged = document.querySelector("#mb-stage .mb-after img");
    const other = document.querySelector("#mb-stage .mb-before img");
    if (!judged || !other) return;
    if (on && !judged.dataset.own) {
      judged.dataset.own = judged.getAttribute("src");
      judged.src = other.src;
    } else if (!on && judged.dataset.own) {
      judged.src = judged.dataset.own;
      delete judged.dataset.own;
    }
    judged.closest(".mb-figure").classList.toggle("mb-flipped", on);
  }
})();
