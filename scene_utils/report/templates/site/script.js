// Dark mode: the reader's choice, else the system's.
const root = document.documentElement, theme = document.getElementById("theme");
const chosen = () => root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
const show = (scheme) => {
  root.style.colorScheme = scheme;
  theme.textContent = chosen() === "dark" ? "Light mode" : "Dark mode";
};
let kept = "";
try { kept = localStorage.getItem("scheme") || ""; } catch { /* a browser that keeps nothing */ }
show(kept);
theme.onclick = () => {
  show(chosen() === "dark" ? "light" : "dark");
  try { localStorage.setItem("scheme", root.style.colorScheme); } catch { /* the same */ }
};

// Search: sections that contain all words, those with a word in a heading first.
const query = document.getElementById("query"), found = document.getElementById("found");
const load = () => {
  const script = document.createElement("script");
  script.src = "index.js";
  script.onload = search;
  document.head.append(script);
};
const count = (text, word) => text.toLowerCase().split(word).length - 1;
const score = ([, title, heading, text], words) => {
  const each = words.map((word) => 20 * count(heading, word) + 5 * count(title, word) + count(text, word));
  return each.every(Boolean) ? each.reduce((a, b) => a + b) : 0;
};
const excerpt = (text, words) => {
  const at = Math.max(0, ...words.map((word) => text.toLowerCase().indexOf(word)));
  return (at > 60 ? "… " : "") + text.slice(Math.max(0, at - 60), at + 100) + " …";
};
function search() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.hidden = !words.length || typeof INDEX === "undefined";
  if (found.hidden) return;
  const hits = INDEX.map((entry) => [score(entry, words), entry]).filter(([points]) => points);
  hits.sort(([a], [b]) => b - a);
  found.querySelector("p").textContent = `${hits.length} ${hits.length === 1 ? "section" : "sections"} found`;
  found.querySelector("ol").replaceChildren(...hits.slice(0, 15).map(([, [address, title, heading, text]]) => {
    const item = document.createElement("li"), link = document.createElement("a"), below = document.createElement("small");
    link.href = address;
    link.textContent = heading === title ? title : `${title} › ${heading}`;
    below.textContent = excerpt(text, words);
    item.append(link, below);
    return item;
  }));
}
query.addEventListener("focus", load, { once: true });
query.addEventListener("input", search);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/input|textarea/i.test(event.target.tagName)) { event.preventDefault(); query.focus(); }
  if (event.key === "Escape") { query.value = ""; search(); }
});
