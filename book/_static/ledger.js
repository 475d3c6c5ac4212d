// Filters of the ledger. Without scripts every row is shown.
(() => {
  const form = document.getElementById("mm-filters");
  document.addEventListener("DOMContentLoaded", () => {
    const rows = [...document.querySelectorAll(".mm-row")];
    const shown = form.elements.shown;
    const asked = new URLSearchParams(location.search);

    const apply = () => {
      const data = new FormData(form);
      const verdicts = data.getAll("verdict");
      const words = (data.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const keep =
          (!verdicts.length || verdicts.includes(row.dataset.verdict)) &&
          (!data.get("chapter") || data.get("chapter") === row.dataset.chapter) &&
          (!data.get("kind") || data.get("kind") === row.dataset.kind) &&
          words.every((word) => text.includes(word));
        row.hidden = !keep;
        count += keep;
      }
      for (const section of document.querySelectorAll(".mm-section")) {
        section.hidden = !section.querySelector(".mm-row:not([hidden])");
      }
      shown.textContent = count === rows.length ? `${count} claims` : `${count} of ${rows.length}`;
    };

    for (const box of form.querySelectorAll("input[name=verdict]")) {
      box.checked = asked.getAll("verdict").includes(box.value);
    }
    for (const name of ["chapter", "kind", "text"]) {
      if (asked.get(name)) form.elements[name].value = asked.get(name);
    }
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
    if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  });
})();
