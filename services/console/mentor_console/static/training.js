// Curves of training runs. A chart is a picture with a table beside it; a click on a step leads to its rollouts.
"use strict";
(async () => {
  const root = document.getElementById("training");
  if (!root || !root.dataset.jobs) return;
  const jobs = root.dataset.jobs.split(" "), status = document.getElementById("training-state"), slider = document.getElementById("smooth");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colors = () => (dark.matches ? ["#58a6ff", "#f0a35e", "#56d364", "#d2a8ff", "#ff8a7a", "#76e3ea", "#e3b341", "#ff9bce"] : ["#0b62c4", "#b35900", "#1a7f37", "#8250df", "#b42318", "#0a7a83", "#7d6200", "#bf3989"]);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const runs = new Map();
  let charts = [];

  const el = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = visible(text);
    if (kind) made.className = kind;
    return made;
  };
  function smoothed(values, weight) {
    let last = null;
    return values.map((value) => {
      if (value === null || value === undefined) return null;
      last = last === null ? value : weight * last + (1 - weight) * value;
      return last;
    });
  }
  // Every (run, figure) of a group as a series over the steps that any of the runs has.
  function table(names, of) {
    const steps = [...new Set([...runs.values()].flatMap((run) => [...run.points.keys()]))].sort((a, b) => a - b);
    const series = [];
    let number = 0;
    for (const [job, run] of runs) {
      names.forEach((name, place) => {
        const values = steps.map((step) => of(run.points.get(step) || {})[name] ?? null);
        if (values.some((value) => value !== null)) {
          series.push({ label: runs.size > 1 ? `${job.slice(-6)} ${name}` : name, values, color: runs.size > 1 ? number : place, dash: runs.size > 1 ? place : 0 });
        }
      });
      number += 1;
    }
    return { steps, series };
  }
  function groups() {
    const known = new Set(), made = [];
    const first = [...runs.values()][0];
    for (const group of first ? first.groups : []) {
      group.names.forEach((name) => known.add(name));
      made.push({ title: group.title, ...table(group.names, (point) => point.metrics || {}) });
    }
    const phases = new Set(), others = new Set();
    for (const run of runs.values()) for (const point of run.points.values()) {
      Object.keys(point.phases || {}).forEach((name) => phases.add(name));
      Object.keys(point.metrics || {}).forEach((name) => known.has(name) || others.add(name));
    }
    if (phases.size) made.push({ title: "Seconds per phase", ...table([...phases], (point) => point.phases || {}) });
    for (const name of [...others].sort()) made.push({ title: name, ...table([name], (point) => point.metrics || {}) });
    return made.filter((group) => group.series.length);
  }
  // Alarms as dashed lines, checkpoints as ticks at the bottom.
  function marks(plot) {
    const context = plot.ctx, { left, top, width, height } = plot.bbox;
    context.save();
    for (const run of runs.values()) {
      for (const alarm of run.alarms) {
        const x = plot.valToPos(alarm.step, "x", true);
        if (x < left || x > left + width) continue;
        context.strokeStyle = css("--bad");
        context.setLineDash([4, 4]);
        context.beginPath(); context.moveTo(x, top); context.lineTo(x, top + height); context.stroke();
      }
      for (const step of run.points.keys()) {
        if (!run.save_freq || run.save_freq < 1 || step % run.save_freq) continue;
        const x = plot.valToPos(step, "x", true);
        context.strokeStyle = step === run.best_step ? css("--good") : css("--quiet");
        context.setLineDash([]);
        context.beginPath(); context.moveTo(x, top + height); context.lineTo(x, top + height - 8); context.stroke();
      }
    }
    context.restore();
  }
  const shown = (value) => (value === null || value === undefined ? "" : String(Number(value.toPrecision(4))));
  function draw() {
    charts.forEach((chart) => chart.destroy());
    charts = [];
    const open = new Set([...root.querySelectorAll("details[open]")].map((part) => part.dataset.title));
    root.replaceChildren();
    const weight = Number(slider.value), palette = colors();
    for (const group of groups()) {
      const figure = el("figure"), box = el("div");
      const last = group.series.map((line) => `${line.label} ${shown([...line.values].reverse().find((v) => v !== null))}`).join(", ");
      figure.append(el("figcaption", group.title), box);
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", `${group.title} over ${group.steps.length} steps; last: ${last}`);
      root.append(figure);
      // Digits that count: a learning rate of 1e-4 is no 0.
      const ticks = (_, splits) => splits.map(shown);
      const axis = { stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
      const plot = new uPlot({
        width: Math.max(240, figure.clientWidth - 24), height: 220,
        scales: { x: { time: false } }, axes: [{ ...axis, size: 34 }, { ...axis, size: 56, values: ticks }], cursor: { sync: { key: "training" } },
        series: [{ label: "step" }, ...group.series.map((line) => ({
          label: visible(line.label), stroke: palette[line.color % palette.length], width: 1.6, dash: DASHES[line.dash % DASHES.length], spanGaps: true,
          value: (_, value) => shown(value), points: { show: group.steps.length < 40, size: 4 },
        }))],
        hooks: { draw: [marks] },
      }, [group.steps, ...group.series.map((line) => smoothed(line.values, weight))], box);
      plot.over.addEventListener("click", () => {
        const step = group.steps[plot.cursor.idx];
        if (step !== undefined) location.assign(`/trajectories?job=${encodeURIComponent(jobs[0])}&step=${step}`);
      });
      charts.push(plot);
      const details = el("details"), scroll = el("div", undefined, "scroll"), grid = el("table"), head = el("tr");
      details.dataset.title = group.title;
      details.open = open.has(group.title);
      scroll.tabIndex = 0;
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", `${group.title} as a table`);
      head.append(el("th", "step"), ...group.series.map((line) => el("th", line.label, "n")));
      grid.append(el("thead")); grid.tHead.append(head); grid.append(el("tbody"));
      group.steps.forEach((step, place) => {
        const row = el("tr"), cell = el("td"), link = el("a", String(step));
        link.href = `/trajectories?job=${encodeURIComponent(jobs[0])}&step=${step}`;
        cell.append(link);
        row.append(cell, ...group.series.map((line) => el("td", shown(line.values[place]), "n")));
        grid.tBodies[0].append(row);
      });
      scroll.append(grid);
      details.append(el("summary", "As a table, with links to rollouts"), scroll);
      figure.append(details);
    }
    if (!charts.length) root.append(el("p", "No step has been reported yet."));
    beside();
  }
  function beside() {
    const alarms = document.getElementById("alarms"), checked = document.getElementById("checked");
    alarms.querySelector("ul").replaceChildren(...[...runs].flatMap(([job, run]) => run.alarms.map((alarm) => el("li", `${job}: ${alarm.message}`, "error"))));
    alarms.hidden = !alarms.querySelector("li");
    const rows = [...runs].flatMap(([job, run]) => run.evaluations.map((found) => {
      const row = el("tr"), link = el("a", found.job), cell = el("td");
      link.href = `/evaluations/${encodeURIComponent(found.job)}`;
      cell.append(link);
      const told = Object.entries(found.accuracy || {}).map(([name, value]) => `${name} ${(100 * value).toFixed(1)} %`).join(", ");
      row.append(el("td", job), el("td", String(found.step), "n"), el("td", told), cell);
      return row;
    }));
    checked.querySelector("tbody").replaceChildren(...rows);
    checked.hidden = !rows.length;
  }
  let waiting = null;
  const soon = () => { waiting ??= setTimeout(() => { waiting = null; draw(); }, 700); };
  // The server has made it visible; it is text here as there.
  async function printed(job) {
    const part = [...document.querySelectorAll(".printed")].find((one) => one.dataset.job === job);
    try {
      const answer = await fetch(`/api/training/${encodeURIComponent(job)}/output`);
      if (answer.ok) part.querySelector("pre").textContent = await answer.text();
    } catch { /* it comes with the next commit */ }
  }
  function follow(job, run) {
    const source = followJob(job, run.last);
    source.on("progress", ({ metrics }) => {
      if (!metrics || typeof metrics.step !== "number") return;
      const { step, total, phases, ...figures } = metrics;
      run.points.set(step, { metrics: figures, phases: phases || {} });
      soon();
    });
    source.on("log", (told) => {
      if (!told.alarm) return;
      run.alarms.push({ step: Math.max(0, ...run.points.keys()), name: told.alarm, message: told.message });
      soon();
    });
    source.on("artifact", ({ name }) => { if (name === "train.log") printed(job); });
    printed(job); // what was committed between the page and its curves is in neither's events
    source.on("end", () => { source.close(); status.textContent = `${job} has ended.`; });
  }
  status.textContent = "Curves are being read.";
  for (const job of jobs) {
    try {
      const answer = await fetch(`/api/training/${encodeURIComponent(job)}/curves`);
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error ? found.error.message : answer.statusText);
      runs.set(job, { ...found, points: new Map(found.points.map((point) => [point.step, point])) });
    } catch (error) {
      status.textContent = `${job}: ${error.message}`;
    }
  }
  if (runs.size === jobs.length) status.textContent = "";
  draw();
  for (const [job, run] of runs) if (run.state === "running" || run.state === "queued") follow(job, run);
  slider.addEventListener("input", () => {
    const weight = Number(slider.value);
    groups().forEach((group, place) => charts[place]?.setData([group.steps, ...group.series.map((line) => smoothed(line.values, weight))]));
  });
  dark.addEventListener("change", draw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; soon(); } });
})();
