"""Style and script of the report, one page without a network; report.py fills it."""

# ruff: noqa: E501 (one thing a line)

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #5a6370; --line: #d5dae1;
  --soft: #f3f5f8; --m: #2f6fb2; --up: #1f6fb5; --down: #b5480f; --here: #e3eefa; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e6e9ee; --faint: #9aa4b2;
  --line: #343b46; --soft: #1c2129; --m: #5b9bd9; --up: #7db8ee; --down: #f0955c; --here: #21324a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
header { padding: 14px 20px 10px; border-bottom: 1px solid var(--line); }
h1 { font-size: 21px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 0 0 2px; }
header p, .facts { margin: 2px 0; } .facts, .keys, caption { color: var(--faint); }
a { color: inherit; } kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 5px; font: inherit; }
nav { padding: 8px 12px; } nav ol { list-style: none; margin: 6px 0 0; padding: 0; }
nav a, .heads { display: grid; grid-template-columns: 46px 1fr 62px 36px; gap: 8px; align-items: center;
  padding: 4px 6px; border-radius: 6px; text-decoration: none; min-height: 32px; }
nav a:hover { background: var(--soft); } nav a[aria-current] { background: var(--here); }
.heads { color: var(--faint); font-size: 13px; margin: 6px 0 -4px; padding-bottom: 0; min-height: 0; }
.title { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.reward { text-align: center; border: 1px solid var(--line); border-radius: 5px; font-size: 13px; }
.spark { width: 62px; height: 22px; } .spark path { fill: none; stroke: var(--m); stroke-width: 1.6; }
.spark line { stroke: var(--line); }
article { padding: 12px 20px 24px; border-top: 1px solid var(--line); content-visibility: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-top: 8px; }
caption { text-align: left; padding-bottom: 4px; } th { text-align: left; font-weight: 600; white-space: nowrap; }
.js thead th { position: sticky; top: 0; background: var(--paper); }
th, td { padding: 3px 8px 3px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.what { max-width: 0; width: 45%; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  color: var(--faint); }
.bar { display: inline-block; width: 90px; height: 12px; margin-right: 8px; vertical-align: -1px;
  border-radius: 3px; background: linear-gradient(90deg, var(--m) var(--v), var(--soft) 0); outline: 1px solid var(--line); }
.up { color: var(--up); } .down { color: var(--down); } td.up, td.down, td.m { white-space: nowrap; }
tr[aria-current] { background: var(--here); } .js tbody tr { cursor: pointer; }
details { border-bottom: 1px solid var(--line); } summary { padding: 6px 0; font-weight: 600; cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 10px; padding: 10px 12px;
  background: var(--soft); border-radius: 6px; font: 13.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
.who { margin: 8px 0 3px; color: var(--faint); font-size: 13.5px; }
body:not(.js) .keys, .step { display: none; } .js .step { display: flex; gap: 6px; margin: 8px 0; }
button, select { font: inherit; color: inherit; background: var(--soft); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 12px; min-height: 36px; } .order { display: none; } .js .order { display: block; }
:focus-visible { outline: 2px solid var(--m); outline-offset: 1px; }
.js article { display: none; border: 0; content-visibility: visible; } .js article.now { display: block; }
.js details:not([open]) { display: none; } .js summary { list-style: none; cursor: default; }
.js summary::-webkit-details-marker { display: none; }
@media (min-width: 1000px) {
  .js { height: 100vh; display: flex; flex-direction: column; }
  .js .app { flex: 1; min-height: 0; display: grid; grid-template-columns: 350px 1fr; }
  .js nav { overflow-y: auto; border-right: 1px solid var(--line); } .js main { min-height: 0; }
  .js article.now { height: 100%; display: grid; grid-template: auto 1fr / minmax(420px, 9fr) 11fr; gap: 4px 24px; }
  .js .about { grid-column: 1 / 3; } .js .table, .js .texts { overflow-y: auto; min-height: 0; }
}
@media (max-width: 999px) {
  header { padding: 10px 14px 8px; } h1 { font-size: 18px; } article { padding: 10px 14px 70px; }
  .js .keys, caption { display: none; } .js nav { max-height: 22vh; overflow-y: auto; border-bottom: 1px solid var(--line); }
  .js .table { max-height: 27vh; overflow-y: auto; } .bar { width: 60px; } td.what { width: 30%; }
  h2 { font-size: 16px; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
  .js .step { position: fixed; inset: auto 0 0; margin: 0; padding: 8px 10px; background: var(--paper);
    border-top: 1px solid var(--line); z-index: 1; } .step button { flex: 1; min-height: 44px; padding: 4px; }
}
@media print { .step, nav { display: none !important; } }
"""

SCRIPT = """
(() => {
  const $ = (what, from = document) => [...from.querySelectorAll(what)];
  const list = document.getElementById("runs"), runs = $("article"), files = [...list.children];
  const narrow = matchMedia("(max-width: 999px)");
  let order = runs, run = runs[0], turn = 0;
  document.body.classList.add("js");
  const mark = (all, one) => all.forEach(x => x === one ? x.setAttribute("aria-current", "true")
                                                        : x.removeAttribute("aria-current"));
  const seen = x => x && x.scrollIntoView({ block: "nearest" });
  function show(next, at, move) {
    const texts = $("details", next), rows = $("tbody tr", next);
    run = next; turn = Math.max(0, Math.min(at, texts.length - 1));
    runs.forEach(x => x.classList.toggle("now", x === run));
    texts.forEach((x, k) => { x.open = k === turn; });
    mark(rows, rows[turn]); seen(rows[turn]);
    const link = document.querySelector(`nav a[href="#${run.id}"]`);
    mark($("nav a"), link); seen(link);
    const pane = run.querySelector(".texts"); pane.scrollTop = 0;
    if (move && narrow.matches) run.querySelector(".table").scrollIntoView();
    if (move) history.replaceState(null, "", "#" + texts[turn].id);
  }
  const step = by => show(run, turn + by, true);
  const other = by => { const next = order[order.indexOf(run) + by]; if (next) show(next, 0, true); };
  function goTo(hash) {
    const there = hash.length > 1 && document.getElementById(hash.slice(1));
    const of = there && there.closest("article");
    if (of) show(of, Math.max(0, $("details", of).indexOf(there)), true);
    return Boolean(of);
  }
  document.addEventListener("click", event => {
    const link = event.target.closest("a[href^='#']"), row = event.target.closest("tbody tr");
    const act = event.target.closest("button");
    if (event.target.closest("summary")) event.preventDefault();
    else if (act) act.dataset.turn ? step(+act.dataset.turn) : other(+act.dataset.run);
    else if (link ? goTo(link.getAttribute("href")) : row) {
      event.preventDefault();
      if (!link) show(run, $("tbody tr", run).indexOf(row), true);
    }
  });
  document.addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select")) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.shiftKey ? other(by) : step(by);
  });
  const keys = { file: (x, k) => k, drop: x => +x.dataset.drop, last: x => +x.dataset.last,
                 wrong: x => x.dataset.wrong === "" ? 1 : -x.dataset.wrong };
  document.getElementById("order").addEventListener("change", event => {
    const key = keys[event.target.value], ranked = runs.map((x, k) => [key(x, k), k]);
    const places = ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(x => x[1]);
    order = places.map(k => runs[k]);
    list.append(...places.map(k => files[k]));
    show(order[0], 0, true);
  });
  addEventListener("hashchange", () => goTo(location.hash));
  goTo(location.hash) || show(run, 0, false);
})();
"""
