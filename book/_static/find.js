// Narrows the list of items while one types. Without scripts the whole list is there.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("mm-find");
  const page = form.closest("section");
  const items = [...page.querySelectorAll(".mm-item")];
  const text = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));
  const box = form.elements.words;

  const apply = () => {
    // "table 8" must not find Table 1 of a text with an 8 in its numbers: a phrase in one piece
    // is looked for first, its words only if no item holds it.
    const phrase = box.value.trim().toLowerCase();
    const words = phrase.split(/\s+/).filter(Boolean);
    const whole = new RegExp(`\\b${phrase.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?!\\d)`);
    let found = items.filter((item) => whole.test(text.get(item)));
    if (!found.length) found = items.filter((item) => words.every((word) => text.get(item).includes(word)));
    const kept = new Set(phrase ? found : items);
    for (const item of items) item.hidden = !kept.has(item);
    for (const list of page.querySelectorAll(".mm-items")) {
      list.hidden = !list.querySelector(".mm-item:not([hidden])");
      if (list.previousElementSibling?.matches("h3")) list.previousElementSibling.hidden = list.hidden;
    }
    for (const part of page.querySelectorAll("section")) {
      if (!part.matches(".mm-item")) part.hidden = !part.querySelector(".mm-item:not([hidden])");
    }
    form.elements.shown.textContent = phrase ? `${kept.size} of ${items.length}` : `${items.length} items`;
  };

  box.value = new URLSearchParams(location.search).get("words") || "";
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
});
