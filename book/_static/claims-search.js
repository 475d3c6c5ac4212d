// On the search page: claims and numbered items above the pages. The index of the pages splits an
// id such as MM1-T8-nll at its hyphens; here ids, parts of ids and words are found as they stand.
(() => {
  const here = document.currentScript.src;

  const matches = (entry, words) => {
    const text = `${entry.id} ${entry.text} ${entry.where}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };

  const line = (entry) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = new URL(`../${entry.page}`, here);
    link.textContent = entry.id;
    item.append(link, " ");
    if (entry.verdict) {
      const badge = document.createElement("span");
      badge.className = `mm-verdict mm-${entry.verdict.replace(" ", "-")}`;
      badge.textContent = entry.verdict;
      item.append(badge, " ");
    }
    item.append(entry.where ? `${entry.text} (${entry.where})` : entry.text);
    return item;
  };

  const show = (results, asked) => {
    const phrase = asked.trim().toLowerCase();
    const words = phrase.split(/\s+/).filter(Boolean);
    if (!words.length) return;
    const rank = (entry) => {
      const id = entry.id.toLowerCase().replace(",", "");
      return id === phrase ? 0 : id.includes(phrase) ? 1 : 2;
    };
    const found = window.mmClaims.filter((entry) => matches(entry, words)).sort((a, b) => rank(a) - rank(b));
    if (!found.length) return;
    const part = document.createElement("section");
    part.id = "mm-claims-found";
    const heading = document.createElement("h2");
    heading.textContent = "Claims and numbered items";
    const list = document.createElement("ul");
    list.append(...found.slice(0, 20).map(line));
    part.append(heading, list);
    if (found.length > 20) {
      const more = document.createElement("a");
      more.href = new URL(`../book/ledger.html?words=${encodeURIComponent(asked.trim())}`, here);
      more.textContent = `${found.length} found: the claims among them in the ledger`;
      part.append(more);
    }
    results.before(part);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const results = document.getElementById("search-results");
    const asked = new URLSearchParams(location.search).get("q");
    if (!results || !asked) return;
    // Summaries of the pages are fetched, which a browser forbids for a book on disk.
    if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
    const script = document.createElement("script");
    script.src = new URL("claims.js", here);
    script.addEventListener("load", () => show(results, asked));
    document.head.append(script);
  });
})();
