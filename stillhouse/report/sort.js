"use strict";
// Sorts the rows of a table by the column whose heading is pressed; what has no value stays last.
const collator = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[table.tBodies.length - 1];
  const heads = [...table.querySelectorAll("th[aria-sort]")];
  const status = table.closest("section").querySelector(".sorted");
  const value = (row, column) => row.cells[column].dataset.value;
  const compare = (a, b) =>
    Number.isNaN(Number(a)) || Number.isNaN(Number(b)) ? collator.compare(a, b) : Number(a) - Number(b);
  const sort = (head) => {
    const now = head.getAttribute("aria-sort");
    const next = { none: head.dataset.first, ascending: "descending", descending: "ascending" }[now];
    const column = Number(head.dataset.column);
    const sign = next === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((one, other) => {
      const a = value(one, column), b = value(other, column);
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return sign * compare(a, b);
    });
    body.append(...rows);
    for (const each of heads) each.setAttribute("aria-sort", each === head ? next : "none");
    status.textContent = `Sorted by ${head.textContent}, ${next}.`;
  };
  for (const head of heads) head.querySelector("button").addEventListener("click", () => sort(head));
}
