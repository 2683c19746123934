"use strict";
(() => {
  const root = document.documentElement;
  const mode = document.getElementById("mode");
  mode.addEventListener("click", () => {
    const dark = root.dataset.mode ? root.dataset.mode === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.mode = dark ? "light" : "dark";
    mode.setAttribute("aria-pressed", String(!dark));
  });

  const compare = (a, b) => {
    if (a === b) return 0;
    if (a === "" || a === null || Number.isNaN(a)) return 1;
    if (b === "" || b === null || Number.isNaN(b)) return -1;
    return typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };

  // Tables whose rows stand in the page: a click on a heading sorts them.
  for (const table of document.querySelectorAll("table.sorted")) {
    const body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => {
          const cell = row.cells[place];
          const text = cell.dataset.key ?? cell.textContent;
          return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
        };
        const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * compare(key(a), key(b)));
        body.append(...rows);
      });
    });
  }

  // The interference table: which axis, which branch, only what is established.
  for (const section of document.querySelectorAll(".interference")) {
    const [axis, branch, only] = section.querySelectorAll("[data-filter]");
    const told = section.querySelector("[aria-live]");
    const show = () => {
      let count = 0;
      for (const row of section.querySelectorAll("tbody tr")) {
        const kept = (!axis.value || row.dataset.axis === axis.value)
          && (!branch.value || row.dataset.branch === branch.value) && (!only.checked || row.dataset.sure === "1");
        row.hidden = !kept;
        count += kept;
      }
      told.textContent = `${count} comparisons shown`;
    };
    for (const one of [axis, branch, only]) one.addEventListener("input", show);
    show();
  }

  // The samples: columns of numbers in one block of data, drawn a hundred rows at a time.
  for (const section of document.querySelectorAll(".samples")) {
    const data = JSON.parse(section.querySelector("script").textContent);
    const table = section.querySelector("table");
    const body = table.tBodies[0];
    const told = section.querySelector("[aria-live]");
    const more = section.querySelector(".more");
    const filters = [...section.querySelectorAll("[data-filter]")];
    const count = data.id.length;
    const columns = [
      { name: "sample", value: (row) => data.id[row] },
      ...data.columns.map((column) => ({ name: column.name, value: (row) => column.texts[column.codes[row]] })),
      { name: "true", value: (row) => data.classes[data.label[row]] },
      ...data.heads.map((head) => ({
        name: head.name,
        value: (row) => (head.decided[row] < 0 ? "" : data.classes[head.decided[row]]),
        good: (row) => (head.decided[row] < 0 ? null : head.decided[row] === data.label[row]),
      })),
      { name: "confidence", value: (row) => data.heads[0].confidence[row] },
    ];
    let chosen = [], shown = 0, order = null;
    const heading = table.tHead.rows[0];
    columns.forEach((column) => {
      const head = document.createElement("th"), button = document.createElement("button");
      head.scope = "col";
      head.className = "left";
      button.type = "button";
      button.textContent = column.name;
      head.append(button);
      heading.append(head);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const one of heading.cells) one.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        order = { column, sign: down ? -1 : 1 };
        apply();
      });
    });
    const draw = () => {
      const part = document.createDocumentFragment();
      for (const row of chosen.slice(shown, shown + 100)) {
        const line = document.createElement("tr");
        for (const column of columns) {
          const cell = document.createElement("td"), value = column.value(row);
          cell.className = "left";
          cell.textContent = typeof value === "number" ? value.toFixed(2) : value;
          const good = column.good ? column.good(row) : null;
          if (good !== null) {
            cell.classList.add(good ? "right" : "wrong");
            cell.textContent += good ? " ✓" : " ✗";
          }
          line.append(cell);
        }
        part.append(line);
      }
      body.append(part);
      shown = Math.min(shown + 100, chosen.length);
      more.hidden = shown >= chosen.length;
      told.textContent = `${chosen.length} of ${count} samples, ${shown} shown`;
    };
    const apply = () => {
      const kept = filters.map((one) => [one.dataset.filter, one.value.trim()]).filter(([, value]) => value !== "");
      chosen = [];
      for (let row = 0; row < count; row++) {
        if (kept.every(([name, value]) => fits(name, value, row))) chosen.push(row);
      }
      if (order) chosen.sort((a, b) => order.sign * compare(order.column.value(a), order.column.value(b)));
      body.textContent = "";
      shown = 0;
      draw();
    };
    const ok = (head, row) => head.decided[row] === data.label[row];
    const fits = (name, value, row) => {
      if (name === "text") return data.id[row].toLowerCase().includes(value.toLowerCase());
      if (name === "class") return data.classes[data.label[row]] === value;
      if (name === "what") {
        const [relation, place] = value.split(":");
        if (relation === "wrong") return data.heads[0].decided[row] >= 0 && !ok(data.heads[0], row);
        const other = data.heads[Number(place)];
        if (other.decided[row] < 0 || data.heads[0].decided[row] < 0) return false;
        return relation === "lost" ? ok(other, row) && !ok(data.heads[0], row) : !ok(other, row) && ok(data.heads[0], row);
      }
      const column = data.columns.find((one) => one.name === name);
      return column.texts[column.codes[row]] === value;
    };
    filters.forEach((one) => one.addEventListener("input", apply));
    more.addEventListener("click", draw);
    section.querySelector(".clear").addEventListener("click", () => {
      filters.forEach((one) => { one.value = ""; });
      apply();
    });
    section.openCell = (axis, value, what) => {
      filters.forEach((one) => {
        one.value = one.dataset.filter === "what" ? what : one.dataset.filter === axis ? value : "";
      });
      apply();
      section.querySelector("h3").focus();
    };
    apply();
  }

  for (const button of document.querySelectorAll("button[data-open]")) {
    button.addEventListener("click", () => {
      const row = button.closest("tr");
      document.getElementById(button.dataset.open).openCell(row.dataset.axis, row.dataset.value, button.dataset.what);
    });
  }
})();
