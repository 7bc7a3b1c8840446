// The results explorer. `explorer.py` writes the data, packed; the address keeps what is chosen.
{
const packed = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]).stream();
const unpacked = (text) => new Response(packed(text).pipeThrough(new DecompressionStream("gzip"))).json();

for (const root of document.querySelectorAll(".explorer:not(.started)")) {
  root.classList.add("started");
  unpacked(root.querySelector('script[type="application/gzip"]').textContent).then((data) => start(root, data));
}

function start(root, data) {
  const FIELDS = ["metric", "noise", "level", "condition"], REPETITIONS = 6;  // where the scores of a cell begin
  const form = root.querySelector("form"), status = root.querySelector(".status"), keys = root.querySelector(".keys");
  const state = { table: "", corpus: "", metric: "UA", noise: "gaussian", level: "-10", condition: "avg", minus: "",
                  without: new Set(), row: "" };
  const minus = (text) => text.replace("-", "−");
  const element = (name, attributes = {}, ...children) => {
    const made = name === "svg" || element.svg.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name)
                                                         : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  element.svg = new Set(["line", "circle", "rect", "path", "text", "g", "title"]);

  // --- the address ---
  const read = () => {
    const hash = location.hash.slice(1), given = new URLSearchParams(hash);
    if (data.views.some((view) => view.table === hash)) state.table = hash;  // a link from another page
    if (!given.has("table")) return;
    for (const name of Object.keys(state)) if (name !== "without") state[name] = given.get(name) ?? "";
    state.without = new Set(given.getAll("without"));
  };
  const write = () => {
    const now = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (typeof value === "string" && value) now.append(name, value);
    for (const row of state.without) now.append("without", row);
    history.replaceState(null, "", "#" + now);
  };

  // --- choices: each list holds what is measured for the choices before it ---
  const offer = (name, options) => {  // options: [[value, text], ...]
    const select = form.elements[name];
    if (!options.some(([value]) => value === state[name])) state[name] = options.length ? options[0][0] : "";
    select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text || "–")));
    select.value = state[name];
    select.parentElement.hidden = options.length < 2 && name !== "minus";
  };
  const distinct = (pairs) => [...new Map(pairs.map((pair) => [pair[0], pair])).values()];
  const choose = () => {
    offer("table", distinct(data.views.map((view) => [view.table, view.title])));
    offer("corpus", data.views.filter((v) => v.table === state.table).map((v) => [v.corpus, `${v.corpus} (${v.chip})`]));
    const view = data.views.find((v) => v.table === state.table && v.corpus === state.corpus);
    let cells = view.cells;
    FIELDS.forEach((name, i) => {
      const names = view.fields[name], label = ([value, text]) => [value, name === "metric" ? data.metrics[value][0] : text];
      offer(name, [...new Set(cells.map((cell) => cell[i + 1]))].sort((a, b) => a - b).map((n) => label(names[n])));
      cells = cells.filter((cell) => names[cell[i + 1]][0] === state[name]);
    });
    offer("minus", [["", "nothing: the scores themselves"], ...cells.map((cell) => Array(2).fill(view.rows[cell[0]]))]);
    const boxes = cells.map((cell) => {
      const name = view.rows[cell[0]], box = element("input", { type: "checkbox", value: name });
      box.checked = !state.without.has(name);
      return element("label", {}, box, ` ${name}`);
    });
    const old = [...form.querySelectorAll(".systems input")].map((box) => box.value + box.checked).join();
    if (old !== boxes.map((label) => label.firstChild.value + label.firstChild.checked).join())
      form.querySelector(".systems").replaceChildren(...boxes);
    return [view, cells];
  };

  // --- numbers: the mean of the repetitions and its interval, as robustmer.experiments.statistics has them ---
  const summarise = (values, view) => {
    const known = values.filter((value) => value !== null), k = known.length;
    const mean = known.reduce((a, b) => a + b, 0) / k;
    const std = Math.sqrt(known.reduce((a, b) => a + (b - mean) ** 2, 0) / (k - 1));
    const half = k >= 3 && std >= 1e-9 ? data.quantiles[k] * std * Math.sqrt(1 / k + view.ratio) : NaN;
    return { mean, low: mean - half, high: mean + half, repetitions: k };
  };
  const lines = (view, cells) => {
    const other = cells.find((cell) => view.rows[cell[0]] === state.minus)?.slice(REPETITIONS);
    const scale = data.metrics[state.metric][3] * data.scale;
    return cells.filter((cell) => !state.without.has(view.rows[cell[0]]) && view.rows[cell[0]] !== state.minus).map((cell) => {
      const values = cell.slice(REPETITIONS).map((value, i) =>
        value === null || (other && other[i] === null) ? null : scale * (value - (other ? other[i] : 0)));
      return { name: view.rows[cell[0]], group: data.groups[cell[5]], ...summarise(values, view) };
    });
  };

  // --- the forest ---
  const ticks = (low, high) => {
    const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const first = Math.ceil(low / step - 1e-9), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 },
                      (_, i) => [(first + i) * step, minus(((first + i) * step).toFixed(digits))]);
  };
  const forest = (rows, view, label) => {
    if (!rows.length) return root.querySelector(".forest").replaceChildren();
    const width = Math.min(760, root.clientWidth || 760), narrow = width < 600;
    const left = narrow ? 8 : 300, right = width - 16, step = narrow ? 40 : 28, bottom = rows.length * step + 10;
    const ends = rows.flatMap((r) => [r.mean, r.low, r.high]).filter(Number.isFinite).concat(state.minus ? [0] : []);
    let low = Math.min(...ends), high = Math.max(...ends);
    if (!(high > low)) [low, high] = [low - 1, high + 1];
    const margin = 0.05 * (high - low), x = (v) => left + ((v - low + margin) / (high - low + 2 * margin)) * (right - left);
    const parts = [];
    for (const [tick, words] of ticks(low - margin, high + margin)) {
      parts.push(element("line", { class: "rule", x1: x(tick), x2: x(tick), y1: 0, y2: bottom }));
      parts.push(element("text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, words));
    }
    if (state.minus) parts.push(element("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: bottom }));
    rows.forEach((row, i) => {
      const [, colour, filled, thick] = data.kinds[row.repetitions < 3 ? "one" : view.kind];
      const y = step * i + (narrow ? 28 : 18), fill = filled ? colour : "none", look = { stroke: colour, "stroke-width": thick };
      parts.push(element("text", { x: narrow ? left : left - 12, y: narrow ? y - 12 : y + 4, "text-anchor": narrow ? "start" : "end" }, row.name));
      if (Number.isFinite(row.low)) parts.push(element("line", { ...look, x1: x(row.low), x2: x(row.high), y1: y, y2: y }));
      const mark = row.repetitions < 3 ? element("path", { ...look, d: `M${x(row.mean) - 4} ${y - 4}l8 8m0-8l-8 8` })
        : filled ? element("circle", { ...look, fill, cx: x(row.mean), cy: y, r: 4.5 })
                 : element("rect", { ...look, fill, x: x(row.mean) - 4, y: y - 4, width: 8, height: 8 });
      mark.append(element("title", {}, `${row.name}: ${text(row)}`));
      parts.push(mark);
    });
    parts.push(element("text", { x: (left + right) / 2, y: bottom + 40, "text-anchor": "middle" }, label));
    root.querySelector(".forest").replaceChildren(element("svg", { viewBox: `0 0 ${width} ${bottom + 50}`, width, role: "img",
      "aria-label": `${label}: a row with mean and interval for each of ${rows.length} systems. The table below has its numbers.` }, ...parts));
  };

  // --- the table, the keys behind a number, and the CSV ---
  const decimals = () => (data.metrics[state.metric][3] === 1 ? 3 : 1);
  const number = (value) => minus(value.toFixed(decimals()).replace(/^-(0\.?0*)$/, "$1"));
  const text = (row) => number(row.mean) + (Number.isFinite(row.low) ? ` (${number(row.low)} to ${number(row.high)})` : "");
  const table = (rows, view, label) => {
    const unit = view.unit === "fold" ? "folds" : "seeds";
    const head = ["system", label, "95% interval", unit].map((name) => element("th", { scope: "col" }, name));
    const body = rows.map((row) => {
      const button = element("button", { type: "button", "aria-expanded": row.name === state.row, title: "Trainings behind this number" }, number(row.mean));
      button.addEventListener("click", () => {
        state.row = state.row === row.name ? "" : row.name;
        for (const other of root.querySelectorAll("td button")) other.setAttribute("aria-expanded", other === button && state.row !== "");
        recipes(rows);
        write();
      });
      const interval = Number.isFinite(row.low) ? `${number(row.low)} to ${number(row.high)}` : "–";
      return element("tr", {}, element("th", { scope: "row" }, row.name), element("td", {}, button),
                     element("td", {}, interval), element("td", {}, String(row.repetitions)));
    });
    root.querySelector("table").replaceChildren(element("caption", {}, `${view.title}, ${view.corpus}`),
      element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  };
  const recipes = (rows) => {
    const row = rows.find((one) => one.name === state.row);
    if (!row) return keys.replaceChildren();
    const of = (n) => element("li", {}, `fold ${data.folds[n]}, seed ${data.seeds[n]}: `,
                              element("code", {}, `robustmer rerun ${data.keys[n]}`));
    keys.replaceChildren(element("p", {}, `${row.name}: ${row.group.length} trainings. Each command trains one again and compares its scores.`),
                         element("ul", {}, ...row.group.map(of)));
  };
  const csv = (rows, view) => {
    const quote = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const front = [view.title, view.corpus, state.metric, state.noise, state.level, state.condition];
    const head = ["table", "corpus", ...FIELDS, "system", "minus", "mean", "low", "high", "repetitions", "unit", "keys"];
    const full = (value) => (Number.isFinite(value) ? +value.toFixed(6) : "");
    const body = rows.map((r) => [...front, r.name, state.minus, full(r.mean), full(r.low), full(r.high), r.repetitions,
                                  view.unit, r.group.map((n) => data.keys[n]).join(" ")]);
    const content = [head, ...body].map((row) => row.map(quote).join(",")).join("\n") + "\n";
    root.querySelector("a.csv").href = "data:text/csv;charset=utf-8," + encodeURIComponent(content);
  };

  const draw = () => {
    const [view, cells] = choose(), rows = lines(view, cells), [name, meaning, unit, scale, higher] = data.metrics[state.metric];
    const points = scale === 1 ? name : `${name}, ${unit}`, label = state.minus ? `minus ${state.minus}, ${points}` : points;
    const evidence = view.unit === "fold" ? `means over ${view.repetitions.length} folds of speakers`
      : "over seeds of one split, which say nothing of other speakers";
    const said = `${rows.length} systems on ${view.corpus} (${view.chip}), ${evidence}. ${name}: ${meaning}` +
      `${higher ? "" : "; lower is better"}. Intervals: 95%, uncorrected for the number of comparisons.`;
    if (status.textContent !== said) status.textContent = said;
    forest(rows, view, label);
    table(rows, view, label);
    recipes(rows);
    csv(rows, view);
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    const { name, type, value, checked } = event.target;
    if (type === "checkbox") checked ? state.without.delete(value) : state.without.add(value);
    else state[name] = value;
    draw();
    write();
  });
  form.addEventListener("click", (event) => {
    if (event.target.type !== "button") return;
    const names = [...form.querySelectorAll(".systems input")].map((box) => box.value);
    state.without = event.target.name === "none" ? new Set(names) : new Set();
    draw();
    write();
  });
  addEventListener("hashchange", () => { read(); draw(); });
  addEventListener("resize", draw);
  read();
  draw();
  root.classList.add("ready");
}
}
