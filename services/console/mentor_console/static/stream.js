// A job's events, however often the connection breaks: a browser comes again by itself only after some breaks.
"use strict";
function followJob(job, after, told = () => {}) {
  const listeners = [], types = new Set();
  let source = null, last = after, closed = false;
  function hear(type) {
    source.addEventListener(type, (event) => {
      if (event.lastEventId) last = Number(event.lastEventId);
      const data = JSON.parse(event.data);
      listeners.filter((one) => one.type === type).forEach((one) => one.act(data));
    });
  }
  function open() {
    if (closed) return;
    source = new EventSource(`/api/jobs/${encodeURIComponent(job)}/events?after=${last}`);
    types.forEach(hear);
    source.onopen = () => told(false);
    source.onerror = () => {
      if (closed) return;
      told(true);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
    };
  }
  open();
  return {
    on(type, act) {
      listeners.push({ type, act });
      if (!types.has(type)) { types.add(type); hear(type); }
    },
    close() { closed = true; source.close(); },
  };
}
