// Filters, search and order of the gallery. Without this script every session is simply there.
"use strict";
(() => {
  const gallery = document.getElementById("gallery");
  const form = document.getElementById("filters");
  const control = (name) => document.getElementById(`f-${name}`);
  const [text, track, type, outcome, sort] = ["text", "track", "type", "outcome", "sort"].map(control);
  const count = control("count");
  const nothing = document.getElementById("nothing");
  const sessions = Array.from(gallery.querySelectorAll(".session"), (card) => ({
    card,
    track: card.dataset.track,
    types: card.dataset.types.split(" "),
    kind: card.dataset.kind,
    gaps: Number(card.dataset.gaps),
    order: Number(card.dataset.order),
    rank: Number(card.dataset.rank),
    words: Array.from(card.querySelectorAll("h3, .searchable"), (node) => node.textContent)
      .join("\n")
      .toLowerCase(),
  }));
  let sorted = "order";

  const matches = (session, words) =>
    (track.value === "" || session.track === track.value) &&
    (type.value === "" || session.types.includes(type.value)) &&
    (outcome.value === "" ||
      (outcome.value === "missing" ? session.gaps > 0 : session.kind === outcome.value)) &&
    words.every((word) => session.words.includes(word));

  const show = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const session of sessions) {
      const visible = matches(session, words);
      session.card.hidden = !visible;
      shown += visible ? 1 : 0;
    }
    if (sort.value !== sorted) {
      sorted = sort.value;
      gallery.append(...[...sessions].sort((a, b) => a[sorted] - b[sorted]).map(({ card }) => card));
    }
    count.textContent = `${shown} of ${sessions.length}`;
    nothing.hidden = shown > 0;
  };

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => requestAnimationFrame(show));
  form.hidden = false;
  show();
})();
