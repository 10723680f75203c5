"use strict";
// Keeps the page up to date from one stream, and filters its rows. The page is complete without it.
(() => {
  const byId = (id) => document.getElementById(id);
  const filter = byId("filter"), live = byId("live"), rows = byId("rows");
  const maxRows = Number(document.body.dataset.rows);
  filter.parentElement.hidden = live.hidden = false;

  // Filter: a row stays when it holds every word. A pool stays when one of its members does.
  function show() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("[data-row]")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((w) => text.includes(w));
    }
  }
  filter.addEventListener("input", show);
  document.addEventListener("keydown", (e) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
    if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
      e.preventDefault();
      filter.focus();
      filter.select();
    } else if (e.key === "Escape" && e.target === filter) {
      filter.value = "";
      filter.blur();
      show();
    }
  });

  // A section is replaced only when it changed; a focused link in it keeps the focus.
  function replace(id, html) {
    const el = byId(id);
    if (el.dataset.html === html) return;
    el.dataset.html = html;
    const at = el.contains(document.activeElement) && document.activeElement.getAttribute("href");
    el.innerHTML = html;
    if (at) el.querySelector(`[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
  }

  function addRows(list, all) {
    if (all) rows.replaceChildren();
    if (!list.length) return;
    rows.querySelector(".none")?.remove();
    rows.insertAdjacentHTML("afterbegin", list.join("\n"));
    while (rows.rows.length > maxRows) rows.deleteRow(-1);
  }

  function receive(e) {
    const m = JSON.parse(e.data);
    if (m.sections) {
      document.title = m.sections.title;
      for (const id of ["summary", "wrong", "members", "pools"]) replace(id, m.sections[id]);
    }
    if (m.rows || m.all) addRows(m.rows ?? [], m.all);
    show();
  }

  function say(state) {
    live.textContent = state;
    live.className = state === "live" ? "ok" : "warn";
  }

  let source;
  function open() {
    source = new EventSource("/stream?at=" + encodeURIComponent(document.body.dataset.at));
    source.onopen = () => say("live");
    source.onmessage = receive;
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return say("reconnecting");
      say("not live"); // refused for good, so the browser has given up: load the page anew
      setTimeout(() => location.reload(), 10000);
    };
  }
  // A page in the background gives its place to another.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      say("paused");
    } else {
      document.body.dataset.at = "";
      open();
    }
  });
  if (!document.hidden) open();
})();
