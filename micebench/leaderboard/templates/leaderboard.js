// Sorting by any column, and filters. Without this script the tables are simply there, sorted by rank.
"use strict";
(() => {
  const form = document.getElementById("filters");
  const control = (name) => document.getElementById(`f-${name}`);
  const [text, mark, count] = ["text", "mark", "count"].map(control);
  const nothing = document.getElementById("nothing");
  const tables = Array.from(document.querySelectorAll("table.board"), (table) => ({
    table,
    region: table.parentNode,
    body: table.tBodies[0],
    rows: Array.from(table.tBodies[0].rows, (row, order) => ({
      row,
      order,
      mark: row.dataset.m,
      name: row.querySelector("th").textContent.toLowerCase(),
    })),
  }));

  const show = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let [shown, all] = [0, 0];
    for (const { region, rows } of tables) {
      let here = 0;
      for (const one of rows) {
        const visible =
          (mark.value === "" || mark.value === one.mark) && words.every((word) => one.name.includes(word));
        if (one.row.hidden === visible) one.row.hidden = !visible;
        here += visible ? 1 : 0;
      }
      region.hidden = here === 0;
      shown += here;
      all += rows.length;
    }
    count.textContent = `${shown} of ${all}`;
    nothing.hidden = shown > 0;
  };

  // A cell's first number; the rank is the order of the page; text sorts as text.
  const key = ({ row, order }, column) => {
    const cell = row.cells[column];
    if (cell.matches(".rank")) return order;
    return cell.matches(".num") ? parseFloat(cell.textContent.replace(/^[≤≥] /, "")) : cell.textContent.trim().toLowerCase();
  };

  const sort = ({ table, body, rows }, header, column, descends) => {
    const direction = header.getAttribute("aria-sort") === (descends ? "descending" : "ascending") ? -1 : 1;
    const sign = (descends ? -1 : 1) * direction;
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const keyed = rows.map((one) => ({ one, value: key(one, column) }));
    keyed.sort((a, b) => {
      // What has no value comes last, whichever way.
      const [lacks, other] = [Number.isNaN(a.value), Number.isNaN(b.value)];
      if (lacks || other) return lacks - other || a.one.order - b.one.order;
      if (a.value === b.value) return a.one.order - b.one.order;
      return (a.value < b.value ? -1 : 1) * sign;
    });
    body.append(...keyed.map(({ one }) => one.row));
  };

  for (const one of tables) {
    const [first] = one.rows;
    const headers = Array.from(one.table.tHead.querySelectorAll("th[scope=col]"));
    for (const header of headers) {
      // With two rows of headings, the columns under a heading come between its neighbours'.
      const column = columnOf(one.table, header);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      const lower = header.dataset.lower !== undefined;
      const numbers = first !== undefined && first.row.cells[column].matches(".num");
      button.addEventListener("click", () => sort(one, header, column, numbers && !lower));
    }
  }

  function columnOf(table, header) {
    const rows = table.tHead.rows;
    if (rows.length === 1) return header.cellIndex;
    if (header.parentNode === rows[1]) return header.cellIndex + 1;
    return header.cellIndex === 0 ? 0 : rows[1].cells.length + 1;
  }

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => requestAnimationFrame(show));
  form.hidden = false;
  show();
})();
