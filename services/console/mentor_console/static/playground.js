// Talk to a model: what it writes, its calls and what came back are shown as they come. Everything a model or a tool wrote is text.
"use strict";
(() => {
  const form = document.getElementById("talk");
  if (!form) return;
  const log = document.getElementById("conversation"), status = document.getElementById("talk-state"), stop = document.getElementById("stop");
  const csrf = document.querySelector("meta[name=csrf]").content;
  let earlier = [], running = null;
  const el = (tag, kind, text) => {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = visible(text);
    return made;
  };
  function box(kind, title) {
    const made = el("article", `said ${kind}`);
    made.append(el("h3", "", title));
    log.append(made);
    made.scrollIntoView({ block: "nearest" });
    return made;
  }
  const text = (value) => { const made = el("div", "text", value); made.dir = "auto"; return made; };
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const kind = /^event: (.*)$/m.exec(part), data = /^data: (.*)$/m.exec(part);
        if (kind && data) yield [kind[1], JSON.parse(data[1])];
      }
    }
  }
  // What is being written: shown until the turn is whole, as it was read.
  function writing() {
    const made = box("model live", form.elements.model.value), parts = new Map();
    const part = (name, title) => {
      if (!parts.has(name)) {
        const shown = el("div", title === undefined ? "" : "call"), body = text("");
        if (title !== undefined) shown.append(el("strong", "", title));
        shown.append(body);
        made.append(shown);
        parts.set(name, body);
      }
      return parts.get(name);
    };
    return {
      piece(told) {
        if (told.reasoning) part("reasoning", "Reasoning").append(visible(told.reasoning));
        if (told.content) part("content").append(visible(told.content));
        if (told.call !== undefined) part(`call ${told.call}`, told.name || "call").append(visible(told.arguments));
        made.scrollIntoView({ block: "nearest" });
      },
      end() { made.remove(); },
    };
  }
  function turn(told, calls) {
    const made = box("model", `${form.elements.model.value}${told.generated_tokens ? `, ${told.generated_tokens} tokens` : ""}`);
    if (told.reasoning) {
      const details = el("details");
      details.append(el("summary", "", "Reasoning"), text(told.reasoning));
      made.append(details);
    }
    if (told.text) made.append(text(told.text));
    told.tool_calls.forEach((call) => {
      const shown = el("div", "call");
      shown.append(el("strong", "", call.name || "malformed call"), text(call.error || JSON.stringify(call.arguments)));
      made.append(shown);
      calls.push({ name: call.name, shown, seen: false });
    });
    made.scrollIntoView({ block: "nearest" });
  }
  function observation(told, calls, all) {
    const number = /_(\d+)$/.exec(told.id || "");
    const call = (number && calls[Number(number[1])]) || calls.find((one) => one.name === told.name && !one.seen);
    if (!call) return;
    call.seen = true;
    if (!told.ok) call.shown.classList.add("bad");
    const took = told.duration_ms ? `, ${told.duration_ms.toFixed(1)} ms` : "";
    call.shown.append(el("p", "quiet", `${told.ok ? "came back" : `failed: ${told.error_type}`}${took}`), text(told.content));
    all.push(told);
  }
  async function send() {
    const data = new FormData(form), said = data.get("text");
    const asked = {
      model: data.get("model"), text: said, system: data.get("system") || "", source: data.get("source") || "", tools: data.getAll("tools"), earlier,
      temperature: Number(data.get("temperature")), max_tokens: Number(data.get("max_tokens")), max_turns: Number(data.get("max_turns")),
    };
    box("user", "You").append(text(said));
    running = new AbortController();
    stop.hidden = false;
    let calls = [], last = "", live = null;
    try {
      const answer = await fetch("/api/playground/talk", { method: "POST", signal: running.signal, headers: { "content-type": "application/json", "x-csrf-token": csrf, accept: "text/event-stream" }, body: JSON.stringify(asked) });
      if (!answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        throw new Error(page.querySelector("[role=alert]")?.textContent || answer.statusText);
      }
      const all = [];
      for await (const [kind, told] of events(answer.body)) {
        if (kind === "asked") { status.textContent = "The model writes."; calls = []; }
        if (kind === "piece") { live = live || writing(); live.piece(told); }
        if (kind === "turn") { live?.end(); live = null; turn(told, calls); last = told.text; status.textContent = told.tool_calls.length ? "Tools run." : ""; }
        if (kind === "observation") observation(told, calls, all);
        if (kind === "failed") throw new Error(told.message);
        if (kind === "done") {
          status.textContent = `${told.termination}${told.answer !== null ? `, answer ${told.answer}` : ""}, ${told.duration_s.toFixed(1)} s`;
          if (told.error) box("model", "Ended").append(el("p", "error", told.error));
        }
      }
      earlier = [...earlier, { role: "user", content: said }, { role: "assistant", content: last }];
      form.elements.text.value = "";
    } catch (error) {
      if (error.name === "AbortError") status.textContent = "Stopped.";
      else { status.textContent = ""; box("model", "That did not work").append(el("p", "error", error.message)); }
    } finally {
      running = null;
      stop.hidden = true;
    }
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); if (!running) send(); });
  stop.addEventListener("click", () => running?.abort());
  document.getElementById("anew").addEventListener("click", () => { running?.abort(); earlier = []; log.replaceChildren(); status.textContent = ""; form.elements.text.focus(); });
})();
