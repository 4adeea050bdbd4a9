"use strict";
// Sorts a table by the column whose heading is pressed; pressed again, the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (!heading) return;
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.cells[heading.cellIndex];
      const text = cell.dataset.sort ?? cell.textContent.trim();
      return text === "" ? NaN : heading.classList.contains("number") ? Number(text) : text;
    };
    // What was not measured comes last, whichever way.
    const order = (a, b) =>
      Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b)
        : (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1);
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
  });
}
