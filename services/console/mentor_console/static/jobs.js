// One job's page: its events and output as they come. The browser comes again after a break, with the last event's id.
"use strict";
(() => {
  const page = document.getElementById("job");
  if (!page) return;
  const id = page.dataset.job, list = document.getElementById("events"), status = document.getElementById("stream-state");
  const final = ["succeeded", "failed", "cancelled"];
  let state = page.dataset.state;
  const set = (name, text) => { document.getElementById(name).textContent = visible(text); };

  function line(event, text, kind) {
    const scroller = list.parentElement, below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    const item = document.createElement("li");
    if (kind) item.className = kind;
    item.textContent = `${new Date(event.time * 1000).toLocaleTimeString()}  ${visible(text)}`;
    list.append(item);
    if (list.children.length > 2000) list.firstElementChild.remove();
    if (below) scroller.scrollTop = scroller.scrollHeight;
  }
  function spell(seconds) {
    if (seconds < 90) return `${Math.round(seconds)} s`;
    return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }
  // The pace of what was seen: a job that was resumed does not count the time in which it stood still.
  let first = null;
  function progress(event) {
    document.getElementById("bar").value = event.fraction;
    set("share", `${(100 * event.fraction).toFixed(1)} %`);
    if (!first || event.fraction < first.fraction) first = event;
    const done = event.fraction - first.fraction, left = 1 - event.fraction;
    const eta = done > 0 && left > 0 ? (left * (event.time - first.time)) / done : null;
    set("eta", eta !== null && !final.includes(state) ? `about ${spell(eta)} left` : "");
    if (event.message) set("message", event.message);
    for (const [name, value] of Object.entries(event.metrics || {})) if (typeof value === "number") metric(name, value);
    line(event, `${(100 * event.fraction).toFixed(1)} %  ${event.message || ""}`);
  }
  function metric(name, value) {
    const box = document.getElementById("metrics");
    let entry = [...box.children].find((part) => part.dataset.name === name || part.firstElementChild.textContent === name);
    if (!entry) {
      document.getElementById("no-metrics")?.remove();
      entry = document.createElement("div");
      entry.dataset.name = name;
      entry.append(document.createElement("dt"), document.createElement("dd"));
      entry.firstElementChild.textContent = visible(name);
      box.append(entry);
    }
    entry.lastElementChild.textContent = String(Number(value.toPrecision(6)));
  }
  const source = followJob(id, 0, (broken) => { status.textContent = broken ? "The connection broke; it is being made again." : ""; });
  const on = source.on;
  const away = (gone) => { document.getElementById("away").hidden = !gone; };
  on("progress", progress);
  on("log", (event) => line(event, event.message, event.alarm ? "alarm" : ""));
  on("artifact", (event) => line(event, `committed ${event.name ?? ""}`));
  on("state", (event) => {
    line(event, `${event.state}${event.error ? `: ${event.error}` : ""}`, event.state === "failed" ? "alarm" : "");
    if (event.state && !final.includes(page.dataset.state)) {
      state = event.state;
      const badge = document.getElementById("state");
      badge.textContent = state;
      badge.className = `state ${state}`;
      if (state === "running") document.getElementById("waits")?.remove();
    }
  });
  on("away", () => away(true));
  on("back", () => away(false));
  on("end", () => {
    source.close();
    set("eta", "");
    if (!final.includes(page.dataset.state)) location.reload();
  });

  const log = document.getElementById("log");
  log.parentElement.scrollTop = log.parentElement.scrollHeight;
  async function output() {
    if (final.includes(page.dataset.state)) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(`/api/jobs/${encodeURIComponent(id)}/log?tail=200`);
        if (answer.ok) {
          const scroller = log.parentElement, below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
          log.textContent = await answer.text();
          if (below) scroller.scrollTop = scroller.scrollHeight;
        }
      } catch { /* it is asked again */ }
    }
    setTimeout(output, 3000);
  }
  output();

  // What the trajectories show of a job that has ended is in the page that is made when they are in the index.
  async function gathered(tries) {
    try {
      const answer = await fetch(`/api/jobs/${encodeURIComponent(id)}/gathered`);
      if (answer.ok && (await answer.json()).gathered) { location.reload(); return; }
    } catch { /* it is asked again */ }
    if (tries > 0) setTimeout(gathered, 2000, tries - 1);
  }
  if (page.dataset.gathering !== undefined) setTimeout(gathered, 1000, 60);
})();
