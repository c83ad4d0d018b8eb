// What the pages need beside htmx: news of a realm, and a word when nobody answers.
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
})();
