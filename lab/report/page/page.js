// Draws the figures of the page, swaps their colours with the page's, and saves tables and figures as CSV.
(function () {
  "use strict";
  const root = document.documentElement;
  const swaps = JSON.parse(document.getElementById("colours").textContent);
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = Array.from(document.querySelectorAll(".plot"));
  const config = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: "reset" };
  const printWidth = 700;
  let choice = null;
  let printing = false;

  function isDark() {
    return !printing && (choice === null ? media.matches : choice === "dark");
  }

  function figureOf(plot) {
    let text = plot.querySelector("script").textContent;
    if (isDark()) for (const [light, dark] of swaps) text = text.replaceAll(light, dark);
    const figure = JSON.parse(text);
    const menu = (figure.layout.updatemenus || [])[0];
    delete figure.layout.updatemenus;
    const select = plot.querySelector("select");
    if (menu && select) {
      const [traces, layout] = menu.buttons[select.selectedIndex].args;
      figure.data.forEach((trace, number) => { trace.visible = traces.visible[number]; });
      Object.assign(figure.layout, layout);
    }
    if (window.innerWidth < 600) figure.layout.margin = Object.assign({}, figure.layout.margin, { l: 40, r: 6 });
    if (printing) figure.layout.width = plot.classList.contains("slim") ? printWidth * 0.486 : printWidth;
    return figure;
  }

  function draw(plot) {
    const place = plot.querySelector(".canvas");
    const figure = figureOf(plot);
    plot.dataset.drawn = "1";
    return window.Plotly.react(place, figure.data, figure.layout, config);
  }

  function drawAll() { plots.forEach((plot) => draw(plot)); }

  function apply() {
    root.classList.toggle("dark", isDark());
    plots.filter((plot) => plot.dataset.drawn).forEach(draw);
  }

  function save(name, rows) {
    const quoted = (cell) => {
      let value = cell === null || cell === undefined ? "" : String(cell);
      // A spreadsheet runs cells that begin like a formula.
      if (typeof cell === "string" && /^[=+@\t\r]/.test(value)) value = "'" + value;
      return /[",\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value;
    };
    const body = rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([body], { type: "text/csv" }));
    link.download = name.replace(/[^\w.-]+/g, "_").slice(0, 80) + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function tableRows(table) {
    return Array.from(table.rows, (row) => Array.from(row.cells, (cell) =>
      cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v)));
  }

  function figureRows(plot) {
    const place = plot.querySelector(".canvas");
    const rows = [["trace", "x", "y", "z"]];
    (place._fullData || []).filter((trace) => trace.visible === true).forEach((trace) => {
      if (trace.type === "heatmap") {
        trace.z.forEach((line, j) => Array.from(line).forEach((z, i) => rows.push([trace.name || "", trace.x[i], trace.y[j], z])));
      } else {
        Array.from(trace.x || []).forEach((x, i) => rows.push([trace.name || "", x, trace.y ? trace.y[i] : "", ""]));
      }
    });
    return rows;
  }

  function tool(text, title, act) {
    const button = document.createElement("button");
    button.type = "button"; button.className = "save"; button.textContent = text; button.title = title;
    button.addEventListener("click", act);
    return button;
  }

  plots.forEach((plot) => {
    const tools = document.createElement("div");
    tools.className = "tools";
    const menu = (JSON.parse(plot.querySelector("script").textContent).layout.updatemenus || [])[0];
    if (menu) {
      const select = document.createElement("select");
      const decode = document.createElement("textarea");
      menu.buttons.forEach((button) => {
        const option = document.createElement("option");
        decode.innerHTML = button.label; // a textarea decodes entities and runs nothing
        option.textContent = decode.value;
        select.append(option);
      });
      select.setAttribute("aria-label", "market");
      select.addEventListener("change", () => draw(plot));
      tools.append(select);
    }
    tools.append(tool("CSV", "Save the data of this figure", () => save(plot.dataset.name, figureRows(plot))));
    plot.append(tools);
    if (menu) { tools.classList.add("wide"); plot.prepend(tools); }
  });
  document.querySelectorAll("table.data").forEach((table) => {
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(tool("CSV", "Save this table", () => save(table.dataset.name, tableRows(table))));
    table.parentElement.after(tools);
  });

  const toggle = document.getElementById("theme");
  toggle.hidden = false;
  toggle.addEventListener("click", () => { choice = isDark() ? "light" : "dark"; apply(); });
  media.addEventListener("change", apply);
  window.addEventListener("beforeprint", () => { printing = true; apply(); drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; apply(); drawAll(); });

  apply();
  const queue = plots.slice();
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target);
  }), { rootMargin: "300px" });
  plots.forEach((plot) => seen.observe(plot));
  function next() {
    const plot = queue.shift();
    if (!plot) { root.dataset.ready = "1"; performance.mark("drawn"); return; }
    if (!plot.dataset.drawn) draw(plot);
    setTimeout(next, 0);
  }
  setTimeout(next, 0); // text first
})();
