"use strict";
/* All text is set as text: nothing here makes HTML of it. */
(() => {
  const PAGE = 100, GROUP = 100;
  const ORDER = ["failed", "lost", "left", "skipped", "passed"];
  const get = (id) => document.getElementById(id);
  const rows = JSON.parse(get("data").textContent);
  const collator = new Intl.Collator("en", { numeric: true });
  const wish = { verdict: "", status: "", words: [], by: "verdict", down: false, page: 0 };
  let shown = rows;
  let last = "";

  rows.forEach((row, index) => {
    row.index = index;
    row.text = [row.key, row.source, row.version, row.architecture, row.status, row.message, row.headline].join(" ").toLowerCase();
  });
  const indexOf = new Map(rows.map((row) => [row.key, row.index]));

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== false && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }
  const words = (text) => make("bdi", null, text);
  const address = (key, line) => "#" + encodeURIComponent(key) + (line ? "/" + line : "");

  /* The table. */

  const COMPARE = {
    verdict: (a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict),
    key: (a, b) => collator.compare(a.key, b.key),
    version: (a, b) => collator.compare(a.version, b.version),
    status: (a, b) => collator.compare(a.status, b.status),
    time: (a, b) => a.time[0] - b.time[0],
    cpu: (a, b) => a.cpu[0] - b.cpu[0],
    memory: (a, b) => a.memory[0] - b.memory[0],
  };
  /* Equal rows are in the order of their keys, in which they come. */
  function choose() {
    const fits = (row) => (!wish.verdict || row.verdict === wish.verdict)
      && (!wish.status || row.status === wish.status) && wish.words.every((word) => row.text.includes(word));
    const way = wish.down ? -1 : 1;
    const compare = COMPARE[wish.by];
    shown = rows.filter(fits).sort((a, b) => way * compare(a, b) || a.index - b.index);
    wish.page = 0;
    draw();
  }

  function line(row) {
    const link = make("a", { href: address(row.key) }, words(row.key));
    const source = make("td", null, link);
    if (row.headline) source.append(make("span", { class: "why", title: row.headline }, words(row.headline)));
    return make("tr", null,
      make("td", null, make("span", { class: "badge " + row.verdict }, row.verdict)), source,
      make("td", { class: "wide" }, words(row.version)), make("td", { class: "wide" }, row.status),
      make("td", { class: "number" }, row.time[1]), make("td", { class: "number wide" }, row.cpu[1]),
      make("td", { class: "number" }, row.memory[1]));
  }

  function draw(all) {
    const begin = all ? 0 : wish.page * PAGE;
    const part = all ? shown : shown.slice(begin, begin + PAGE);
    get("rows").replaceChildren(...part.map(line));
    get("found").textContent = shown.length === rows.length
      ? rows.length + (rows.length === 1 ? " source" : " sources") : shown.length + " of " + rows.length + " sources";
    get("none").hidden = shown.length > 0;
    document.querySelector(".pager").hidden = shown.length <= PAGE;
    get("page").textContent = (begin + 1) + "\u2013" + (begin + part.length) + " of " + shown.length;
    get("previous").disabled = wish.page === 0;
    get("next").disabled = (wish.page + 1) * PAGE >= shown.length;
    for (const head of document.querySelectorAll("th[data-by]")) {
      const sorted = head.dataset.by === wish.by ? (wish.down ? "descending" : "ascending") : "none";
      head.setAttribute("aria-sort", sorted);
    }
    for (const tile of document.querySelectorAll(".tile")) {
      tile.setAttribute("aria-pressed", String(tile.dataset.verdict === wish.verdict));
    }
  }

  function turn(by) {
    wish.page += by;
    draw();
    get("sources").scrollIntoView();
    const button = get(by > 0 ? "next" : "previous");
    (button.disabled ? get(by > 0 ? "previous" : "next") : button).focus({ preventScroll: true });
  }

  function reset() {
    Object.assign(wish, { verdict: "", status: "", words: [] });
    get("query").value = get("status").value = "";
    choose();
    get("query").focus();
  }

  for (const tile of document.querySelectorAll(".tile")) {
    tile.addEventListener("click", () => { wish.verdict = tile.dataset.verdict; choose(); });
  }
  for (const head of document.querySelectorAll("th[data-by]")) {
    head.addEventListener("click", () => {
      const by = head.dataset.by;
      /* Of figures the largest are what one looks for. */
      wish.down = wish.by === by ? !wish.down : head.classList.contains("number");
      wish.by = by;
      choose();
    });
  }
  get("query").addEventListener("input", (event) => {
    wish.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    choose();
  });
  get("status").addEventListener("change", (event) => { wish.status = event.target.value; choose(); });
  get("previous").addEventListener("click", () => turn(-1));
  get("next").addEventListener("click", () => turn(1));
  get("reset").addEventListener("click", reset);
  document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    get("query").focus();
  });
  get("rows").addEventListener("keydown", (event) => {
    const links = [...get("rows").querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at >= 0 && links[to]) { event.preventDefault(); links[to].focus(); }
  });
  addEventListener("beforeprint", () => draw(true));
  addEventListener("afterprint", () => draw());

  /* One source. */

  async function unpack(index) {
    const bytes = Uint8Array.from(atob(get("source" + index).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  /* A browser that can't unpack shows what the table's data has. */
  function poor(row) {
    return {
      facts: [], since: [], problems: [], lost: [], undeclared: [], hidden: [], steps: [], artifacts: [],
      errors: row.errors.map(([, text]) => [0, text]),
      log: { parts: [], problem: "This browser can't unpack the log, which needs DecompressionStream. "
        + "The whole log is " + (row.log || "not there") + " in the run's directory." },
    };
  }

  function card(title, ...children) {
    return make("section", { class: "card" }, make("h2", null, title), ...children);
  }
  const list = (texts) => make("ul", null, ...texts.map((text) => make("li", null, words(text))));

  function way(row) {
    const at = shown.indexOf(row);
    const nav = make("nav", { class: "way", "aria-label": "Sources" }, make("a", { href: "#" }, "\u2190 All sources"));
    for (const [by, text] of [[-1, "Previous"], [1, "Next"]]) {
      const other = at < 0 ? undefined : shown[at + by];
      if (other) nav.append(make("a", { href: address(other.key) }, text + ": ", words(other.key)));
    }
    return nav;
  }

  function errors(row, found) {
    const has = (number) => number && found.log.parts.some((part) => holds(part, number));
    const items = found.errors.map(([number, text]) => {
      const place = has(number)
        ? make("a", { href: address(row.key, number) }, "line " + number)
        : make("span", { class: "nowhere" }, number ? "line " + number : "");
      return make("li", null, place, make("span", { dir: "ltr" }, words(text)));
    });
    return card("First errors", make("ol", { class: "errors" }, ...items));
  }

  function steps(found) {
    const bar = (share) => {
      const space = "http://www.w3.org/2000/svg";
      const svg = document.createElementNS(space, "svg");
      const rect = document.createElementNS(space, "rect");
      const set = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
      set(svg, { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
      set(rect, { width: share, height: 1 });
      svg.append(rect);
      return svg;
    };
    return card("Steps", make("ol", { class: "steps" }, ...found.steps.map(([name, took, share]) =>
      make("li", null, words(name), bar(share), make("span", { class: "took" }, took)))));
  }

  function files(found) {
    const head = make("tr", null, make("th", { scope: "col" }, "File"), make("th", { scope: "col", class: "number" }, "Size"),
      make("th", { scope: "col", class: "wide" }, "SHA-256"));
    return card("Files", make("table", { class: "files" }, make("thead", null, head),
      make("tbody", null, ...found.artifacts.map(([name, size, sum]) => make("tr", null, make("td", null, words(name)),
        make("td", { class: "number" }, size), make("td", { class: "wide" }, make("code", null, sum)))))));
  }

  const holds = ([, , first, text], number) => number >= first && number < first + text.split("\n").length && text !== "";

  function fill(details, [, , first, text], bad) {
    if (details.querySelector("pre")) return;
    const pre = make("pre", { tabindex: "0", "aria-label": "Lines of the log" });
    const lines = text.split("\n");
    for (let begin = 0; begin < lines.length; begin += GROUP) {
      pre.append(make("div", null, ...lines.slice(begin, begin + GROUP).map((words, index) => {
        const number = first + begin + index;
        return make("span", { class: bad.has(number) ? "l bad" : "l", "data-n": number }, words + "\n");
      })));
    }
    details.append(pre);
  }

  function section(part, bad, opened) {
    const [title, level, first, text, missing] = part;
    if (missing) return make("p", { class: "gap" }, missing);
    if (!text) return make("p", { class: "bare level" + level }, words(title));
    const count = text.split("\n").length;
    const summary = make("summary", null, words(title),
      make("span", { class: "count" }, count + (count === 1 ? " line" : " lines")));
    const hits = [...bad].filter((number) => holds(part, number)).length;
    if (hits) summary.append(make("span", { class: "count bad" }, hits + (hits === 1 ? " error line" : " error lines")));
    const details = make("details", { class: "level" + level, "data-first": first }, summary);
    details.addEventListener("toggle", () => { if (details.open) fill(details, part, bad); });
    if (opened && hits) { fill(details, part, bad); details.open = true; }
    return details;
  }

  function log(found) {
    const numbers = new Set(found.errors.map(([number]) => number).filter(Boolean));
    const { parts, problem, note, file, link } = found.log;
    const box = make("section", { "aria-label": "Log" });
    const where = link ? make("a", { href: link }, words(file)) : words(file || "");
    const tools = make("div", { class: "log-tools" }, make("h2", null, "Log"),
      problem ? make("p", null, words(problem)) : make("p", null, note + "; all of it: ", where));
    box.append(tools, ...parts.map((part) => section(part, numbers, true)));
    for (const [text, open] of [["Unfold all", true], ["Fold all", false]]) {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => box.querySelectorAll("details").forEach((part) => { part.open = open; }));
      if (parts.length) tools.append(button);
    }
    return box;
  }

  function source(row, found) {
    const facts = make("dl", { class: "facts" }, ...found.facts.map(([label, text]) =>
      make("div", null, make("dt", null, label), make("dd", null, words(text)))));
    const when = (texts, title) => (texts.length ? [card(title, list(texts))] : []);
    const pair = (...cards) => make("div", { class: "pair" }, ...cards.flat());
    return [way(row), make("main", null, heading(row), lead(row), facts,
      ...when(found.problems, "Not as expected"), ...(found.errors.length ? [errors(row, found)] : []),
      ...when(found.since, "Since " + (get("since")?.querySelector("bdi").textContent)),
      pair(when(found.lost, "Attempts without a result"), when(found.undeclared, "Missing in Build-Depends"),
        when(found.hidden, "Files that were looked for and hidden")),
      pair(found.steps.length ? steps(found) : [], found.artifacts.length ? files(found) : []), log(found))];
  }

  const heading = (row) => make("header", null,
    make("p", { class: "kind" }, make("span", { class: "badge " + row.verdict }, row.verdict)),
    make("h1", { tabindex: "-1" }, words(row.key)));
  const lead = (row) => make("p", { class: "lead" }, words(row.message));

  /* What is seen follows from the address alone: #, #KEY or #KEY/LINE. */

  function wanted() {
    const [key, number] = location.hash.slice(1).split("/");
    try {
      return [indexOf.get(decodeURIComponent(key)), Number(number) || 0];
    } catch {
      return [undefined, 0];
    }
  }

  async function open(row) {
    const one = get("one");
    one.replaceChildren(way(row), heading(row), make("p", { class: "wait" }, "Unpacking the log \u2026"));
    get("all").hidden = true;
    one.hidden = false;
    one.querySelector("h1").focus();
    scrollTo(0, 0);
    document.title = row.key + " \u2013 " + document.querySelector("#all h1").textContent;
    const found = typeof DecompressionStream === "undefined" ? poor(row) : await unpack(row.index);
    if (last !== row.key) return;
    const focused = one.contains(document.activeElement);
    one.replaceChildren(...source(row, found));
    if (focused) one.querySelector("h1").focus();
  }

  function mark(number) {
    const one = get("one");
    one.querySelectorAll(".here").forEach((element) => element.classList.remove("here"));
    const parts = [...one.querySelectorAll("details")].filter((part) => Number(part.dataset.first) <= number);
    if (!number || !parts.length) return;
    const part = parts[parts.length - 1];
    part.open = true;
    /* It is filled when the event comes. */
    requestAnimationFrame(() => setTimeout(() => {
      const place = part.querySelector('[data-n="' + number + '"]');
      if (!place) return;
      place.classList.add("here");
      place.scrollIntoView({ block: "center" });
      part.querySelector("pre").focus({ preventScroll: true });
    }));
  }

  async function show() {
    const [index, number] = wanted();
    if (index === undefined) {
      get("one").hidden = true;
      get("one").replaceChildren();
      get("all").hidden = false;
      document.title = titled;
      const link = [...get("rows").querySelectorAll("a")].find((item) => item.hash === address(last));
      if (last && link) link.focus();
      last = "";
      return;
    }
    const row = rows[index];
    if (last !== row.key) {
      last = row.key;
      await open(row);
    }
    if (last === row.key) mark(number);
  }

  const titled = document.title;
  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && last) location.hash = "";
  });
  document.documentElement.classList.remove("plain");
  choose();
  show();
})();
