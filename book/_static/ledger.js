// Filters of the ledger, kept in the page's address. Without scripts every row is shown.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("mm-filters");
  const rows = [...document.querySelectorAll(".mm-row")];
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const menus = ["in", "profile", "data", "chapter", "kind"];
  const field = (name) => form.elements.namedItem(name);
  const boxes = [...form.querySelectorAll("input[name=verdict]")];

  const asked = () => {
    const query = new URLSearchParams();
    for (const box of boxes) if (box.checked) query.append("verdict", box.value);
    for (const name of [...menus, "words"]) {
      const value = field(name).value.trim();
      if (value) query.set(name, value);
    }
    return query;
  };

  // A menu may lack the value that an old link asks for: then it shows all.
  const read = () => {
    const query = new URLSearchParams(location.search);
    for (const box of boxes) box.checked = query.getAll("verdict").includes(box.value);
    for (const name of menus) {
      const known = [...field(name).options].some((option) => option.value === query.get(name));
      field(name).value = known ? query.get(name) : "";
    }
    field("words").value = query.get("words") || "";
  };

  const apply = () => {
    const query = asked();
    const verdicts = query.getAll("verdict");
    const words = (query.get("words") || "").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const keep =
        (!verdicts.length || verdicts.includes(row.dataset.verdict)) &&
        menus.every((name) => !query.get(name) || row.dataset[name].split(" ").includes(query.get(name))) &&
        words.every((word) => text.get(row).includes(word));
      row.hidden = !keep;
      count += keep;
    }
    for (const part of form.closest("section").querySelectorAll("section")) {
      part.hidden = !part.querySelector(".mm-row:not([hidden])");
    }
    field("shown").textContent = count === rows.length ? `${count} claims` : `${count} of ${rows.length} claims`;
  };

  const remember = (how) => {
    const query = asked().toString();
    history[how](null, "", `${location.pathname}${query ? `?${query}` : ""}`);
  };

  // The address may name a claim: show it even if the filters do not, and open it.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.hidden || target.closest("[hidden]")) {
      form.reset();
      apply();
    }
    if (target.matches(".mm-row")) target.open = true;
    target.scrollIntoView();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    apply();
    remember(event.target.type === "search" ? "replaceState" : "pushState");
  });
  form.addEventListener("reset", () => setTimeout(() => { apply(); remember("pushState"); }));
  window.addEventListener("popstate", () => { read(); apply(); open(); });
  window.addEventListener("hashchange", open);
  read();
  form.hidden = false;
  apply();
  open();
});
