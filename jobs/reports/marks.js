// Marks: what is said of pictures here. They are decisions once `pressrun decide` has taken their file; until then they
// are kept in this browser, where it lets us, each with the decision that stood when it was made.

/** The marks in a page: `id`, `digest` and `words` tell of a row its custom_id, its picture's sha256 (null: there is nothing to mark) and the prompt, `rowAt` which row an element is of, `open` shows it, `changed` is called with each row that was marked, and without one for all. */
function openMarks({ count, id, digest, words, rowAt, open, changed }) {
  const ACTS = [["approve", "a", "Approve", "m2.500 8.500 3.500 3.500 7-8"], ["reject", "r", "Reject", "m3 3 10 10m0-10-10 10"],
    ["again", "g", "Again", "M13.500 8A5.500 5.500 0 1 1 11.500 3.800M12.200.800v3.500H8.700"], ["comment", "c", "Comment", null]];
  const WORD = { approved: "approve", rejected: "reject", again: "again" };
  const NONE = { verdict: "", again: false, comment: "", prompt: null };
  const KINDS = ["approved", "rejected", "again", "undecided"];
  const standing = new Map(Object.entries(data.decisions)), cut = new Set(data.cut), changes = new Map(), drafts = new Map();
  const figures = new Intl.NumberFormat("en"), markable = row => Boolean(data.fingerprint) && digest(row) !== null;
  let total = 0;
  for (let row = 0; row < count; row++) total += markable(row);
  let counted = {};

  // 1. What is said of a row, and what a deed makes of it.
  const before = row => standing.get(id(row)) ?? NONE;
  const of = row => changes.get(row) ?? before(row);
  const pack = ({ verdict, again, comment, prompt }) => [verdict, again, comment, prompt];
  const unpack = ([verdict, again, comment, prompt]) => ({ verdict, again, comment, prompt });
  const same = (a, b) => JSON.stringify(pack(a)) === JSON.stringify(pack(b));
  /** One of KINDS, null where there is nothing to decide. */
  function kind(row) {
    if (!markable(row)) return null;
    const { verdict, again } = of(row);
    return again ? "again" : verdict || "undecided";
  }

  function set(row, part) {
    const now = { ...of(row), ...part };
    now.again &&= now.verdict === "rejected";
    if (!now.again) now.prompt = null;
    counted[kind(row)]--;
    if (same(now, before(row))) changes.delete(row); else changes.set(row, now);
    counted[kind(row)]++;
    keep();
    tell(row);
  }

  function act(name, row) {
    const is = kind(row);
    if (is === null) return;
    if (name === "comment") { open(row); $(".decide .said-of").focus(); return; }
    const verdict = { approve: "approved", reject: "rejected", again: "rejected" }[name] ?? "", taken = is === (name === "again" ? name : verdict);
    set(row, { verdict: taken ? "" : verdict, again: name === "again" && !taken, prompt: drafts.has(row) ? drafts.get(row) : before(row).prompt });
  }

  function clear() {
    const rows = [...changes.keys()];
    changes.clear();
    drafts.clear();
    recount();
    keep();
    tell(rows.length === 1 ? rows[0] : undefined);
  }

  // 2. Kept in this browser: of all pages of the job, each mark with the picture and the decision that it is about.
  const KEPT = `pressrun marks ${data.fingerprint} ${data.out}`;
  let keeping = true, waiting = null, rows = null;
  const rowOf = name => (rows ??= new Map(Array.from({ length: count }, (_, row) => [id(row), row]))).get(name);
  function kept() {
    try { return JSON.parse(localStorage.getItem(KEPT) ?? "[]"); } catch { keeping = false; return []; }
  }
  function recall() {
    changes.clear();
    for (const [name, sha256, was, now] of kept()) {
      const row = rowOf(name);
      if (row !== undefined && sha256 === digest(row) && same(unpack(was), before(row))) changes.set(row, unpack(now));
    }
  }
  function keep() { waiting ??= setTimeout(write, 100); }
  function write() {
    if (waiting === null) return;
    clearTimeout(waiting);
    waiting = null;
    const all = kept().filter(([name]) => rowOf(name) === undefined);
    for (const [row, now] of changes) all.push([id(row), digest(row), pack(before(row)), pack(now)]);
    try {
      if (all.length) localStorage.setItem(KEPT, JSON.stringify(all)); else localStorage.removeItem(KEPT);
      keeping = true;
    } catch { keeping = false; }
    tally();
  }
  addEventListener("pagehide", write);
  addEventListener("beforeunload", event => { write(); if (!keeping && changes.size) event.preventDefault(); });
  addEventListener("storage", event => { if (event.key === KEPT) { recall(); recount(); tell(); } });

  // 3. The file for `pressrun decide`, and what to do with it.
  const plain = text => text.toWellFormed ? text.toWellFormed() : text;
  const quoted = word => /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", "'\\''")}'`;
  const file = `marks-${data.title.replace(/[^\p{L}\p{M}\p{N}._-]+/gu, "-").slice(0, 100)}.json`;
  const command = `pressrun decide ${quoted(data.out ?? "JOB")} ${quoted(file)}`;
  function marks() {
    return [...changes].sort(([a], [b]) => a - b).map(([row, { verdict, again, comment, prompt }]) =>
      ({ custom_id: id(row), sha256: digest(row), verdict, again, comment: plain(comment), prompt: prompt && plain(prompt) }));
  }
  function download() {
    const told = { pressrun: "marks", version: 1, job: data.fingerprint, marks: marks() }, link = make("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(told, null, 1) + "\n"], { type: "application/json" }));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    $(".next").hidden = false;
    tally();
  }
  async function copy(text, button, said) {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = make("textarea", "", text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const label = button.textContent;
    button.textContent = said;
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  // 4. What people see: a strip below each picture, a part of the large view, the foot of the window.
  function glyph(act) {
    const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg"), path = ACTS.find(([name]) => name === act)[3];
    const shape = svg.appendChild(document.createElementNS(space, path ? "path" : "circle"));
    svg.setAttribute("class", "glyph");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, value] of path ? [["d", path]] : [["class", "dot"], ["cx", 8], ["cy", 8], ["r", 4.5]]) shape.setAttribute(name, value);
    return svg;
  }
  function button(className, text, deed) {
    const one = make("button", className, text);
    one.type = "button";
    one.addEventListener("click", deed);
    return one;
  }
  function buttons(row, labelled) {
    return ACTS.map(([name, key, label]) => {
      const one = button(`mark ${name}`, undefined, () => act(name, row()));
      one.append(glyph(name));
      if (labelled) one.append(make("span", "", label), make("kbd", "", key));
      else Object.assign(one, { title: `${label} (${key})`, tabIndex: -1, ariaLabel: label });
      if (name !== "comment") one.ariaPressed = "false";
      return one;
    });
  }
  function press(root, row) {
    for (const one of root.querySelectorAll(".mark[aria-pressed]")) one.ariaPressed = String(one.classList.contains(WORD[kind(row)]));
  }
  /** Puts a strip at the end of a tile, and what is said of its row into it. */
  function dress(tile, row) {
    if (!markable(row)) return;
    let strip = $(".strip", tile);
    if (!strip) {
      strip = make("div", "strip");
      const acts = make("span", "acts");
      acts.append(...buttons(() => row));
      strip.append(make("span", "said"), acts);
      tile.append(strip);
    }
    const is = kind(row), { comment } = of(row), said = [];
    tile.dataset.decision = is;
    if (WORD[is]) {
      const word = make("span", "word");
      word.append(glyph(WORD[is]), make("b", "", is));
      said.push(word);
    }
    if (comment) {
      const note = make("span", "note");
      note.append(glyph("comment"), make("b", "", comment));
      note.title = comment;
      said.push(note);
    }
    $(".said", strip).replaceChildren(...said);
    $(".mark.comment", strip).classList.toggle("has", Boolean(comment));
    press(strip, row);
  }

  let shown = null;
  function makePanel() {
    const four = make("div", "four"), keys = make("p", "keys");
    four.role = "group";
    four.ariaLabel = "Decision";
    four.append(...buttons(() => shown, true));
    const field = (className, label, most, typed) => {
      const whole = make("label", "field", label), area = make("textarea", className);
      area.maxLength = most;
      area.dir = "auto";
      area.addEventListener("input", () => typed(area.value));
      whole.append(area);
      return whole;
    };
    const next = field("next-words", "Words for the next picture", data.most.prompt, typed => {
      const prompt = typed.trim() && typed !== words(shown) ? typed : null;
      drafts.set(shown, prompt);
      set(shown, { prompt });
    });
    next.append(make("small", "", "Leave them, and only the seed is another."));
    for (const [label, ...names] of [["undecided", "u"], ["next, previous", "j", "k", "→", "←"], ["out of a field", "Esc"]]) {
      const pair = make("span");
      pair.append(...names.flatMap(name => [make("kbd", "", name), " "]), label);
      keys.append(pair);
    }
    $(".decide").append(four, next, field("said-of", "Comment", data.most.comment, comment => set(shown, { comment })), keys);
  }
  /** What is said of a row, in the large view. */
  function show(row) {
    shown = row;
    $(".decide").hidden = !markable(row);
    if (!markable(row)) return;
    const { again, comment, prompt } = of(row), area = $(".decide .next-words"), note = $(".decide .said-of");
    press($(".four"), row);
    area.parentElement.hidden = !again || cut.has(row) || !words(row);
    if (area !== document.activeElement) area.value = prompt ?? words(row) ?? "";
    if (note !== document.activeElement) note.value = comment;
  }

  function makeFoot() {
    const foot = make("aside", "foot"), out = make("div", "out"), next = make("div", "next"), counts = make("ul", "counts");
    foot.ariaLabel = "Decisions";
    for (const is of KINDS) {
      const count = make("li", `count ${is}`);
      count.append(...WORD[is] ? [glyph(WORD[is])] : [], make("b"), make("span", "", is));
      counts.append(count);
    }
    const sure = button("plain clear", "Clear", () => {
      if (sure.classList.toggle("sure")) { tally(); setTimeout(() => { sure.classList.remove("sure"); tally(); }, 5000); }
      else clear();
    });
    const ids = button("plain ids", "Copy custom_ids", () => {
      const unwanted = Array.from({ length: count }, (_, row) => row).filter(row => ["rejected", "again"].includes(kind(row)));
      copy(unwanted.map(id).join("\n"), ids, `Copied ${figures.format(unwanted.length)}, one a line`);
    });
    ids.title = "Of the rejected pictures, for pressrun sheet --pick @FILE";
    out.append(ids, sure, button("download", "", download));
    next.append(make("span", "", "Downloaded. Now, where the file is:"), make("code", "", command), button("plain", "Copy", event => copy(command, event.target, "Copied")));
    next.hidden = true;
    next.role = "status";
    foot.append(counts, make("p", "hint"), out, next);
    document.body.append(foot);
    new ResizeObserver(() => {
      document.documentElement.style.scrollPaddingBottom = `${foot.offsetHeight + 8}px`;
      document.body.style.paddingBottom = `${foot.offsetHeight + 24}px`;
    }).observe(foot);
  }
  function recount() {
    counted = Object.fromEntries(KINDS.map(is => [is, 0]));
    for (let row = 0; row < count; row++) if (markable(row)) counted[kind(row)]++;
  }
  function tally() {
    for (const is of KINDS) $(`.count.${is} b`).textContent = figures.format(counted[is]);
    const number = figures.format(changes.size), sure = $(".foot .clear");
    for (const one of [sure, $(".download")]) one.hidden = !changes.size;
    $(".foot .ids").hidden = !(counted.rejected + counted.again);
    sure.textContent = sure.classList.contains("sure") ? `Take back ${number} ${changes.size === 1 ? "mark" : "marks"}?` : "Clear";
    $(".download").textContent = `Download marks (${number})`;
    $(".hint").textContent = !changes.size ? "Point at a picture to mark it, or press a, r, g or c on it." : keeping ? "" : "This browser keeps nothing: download the marks before you leave.";
  }
  function tell(row) {
    $(".next").hidden = true;
    tally();
    if (shown !== null && $("dialog").open && (row === undefined || row === shown)) show(shown);
    changed(row);
  }

  // 5. By keyboard: on a picture, and in the large view.
  const typing = element => element.matches?.("textarea, select, input:not([type=checkbox])");
  document.addEventListener("keydown", event => {
    if (event.isComposing || event.altKey || event.metaKey || event.ctrlKey) return;
    if (typing(event.target)) {
      if (event.key !== "Escape" || !event.target.closest(".decide")) return;
      event.preventDefault(); // the field is left, not the large view
      $(".card").focus();
      return;
    }
    const key = event.key.toLowerCase(), name = key === "u" ? "undecide" : ACTS.find(([, one]) => one === key)?.[0], row = name && rowAt(event.target);
    if (!name || row === null || event.repeat || !markable(row)) return;
    event.preventDefault();
    if (name !== "undecide") act(name, row); else set(row, { verdict: "", again: false });
  });

  if (total) {
    recall();
    recount();
    makePanel();
    makeFoot();
    tally();
  } else $(".decide").hidden = true;
  return { any: total > 0, kind, dress, show: total ? show : () => {}, KINDS };
}
