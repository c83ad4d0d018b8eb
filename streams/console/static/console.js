// What the pages need beside htmx: news of the realm, and a word when nobody answers.
"use strict";
(() => {
  const offline = (is) => {
    const told = document.getElementById("offline");
    if (told) told.hidden = !is;
  };
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:timeout", () => offline(true));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) offline(false);
  });

  const where = document.body.dataset.live;
  if (!where || !window.EventSource) return;
  let stream = null;
  let wait = 0;
  let again = 0;
  // A form that somebody fills in is not taken away from them.
  const filling = () => {
    const page = document.getElementById("page");
    if (!page) return false;
    const at = document.activeElement;
    if (page.contains(at) && at.closest("form") && at.matches("input, textarea, select")) return true;
    const changed = (field) => field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
    return [...page.querySelectorAll("input, textarea")].some(changed);
  };
  // Many consoles hear of a change at once: they do not all ask in the same moment.
  const refresh = () => {
    clearTimeout(wait);
    wait = setTimeout(() => {
      if (filling()) wait = setTimeout(refresh, 2000);
      else window.htmx.trigger(document.body, "rescind-changed");
    }, Math.random() * 250);
  };
  const open = () => {
    stream = new EventSource(where);
    // What changed before it was open is not told.
    stream.addEventListener("open", () => { offline(false); refresh(); });
    stream.addEventListener("changed", (event) => {
      const news = document.getElementById("news");
      if (news) news.textContent = "New: " + event.data;
      refresh();
    });
    stream.addEventListener("over", () => { stream.close(); location.reload(); });
    stream.addEventListener("error", () => {
      offline(true);
      if (!stream || stream.readyState !== EventSource.CLOSED) return;
      // Refused: without a session the next request of htmx says why. Where there are
      // too many streams the page asks by itself until it gets one.
      stream = null;
      clearTimeout(again);
      again = setTimeout(() => {
        if (document.hidden || stream) return;
        open();
        refresh();
      }, 5000 + Math.random() * 5000);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { if (stream) stream.close(); stream = null; }
    else if (!stream) open();
  });
  if (!document.hidden) open();
})();
