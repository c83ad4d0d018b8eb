// Views of the findings that a person keeps: names and addresses, in this browser alone.
"use strict";
(() => {
  const KEY = "rescind-views", MOST = 30;
  const kept = () => {
    try {
      const found = JSON.parse(localStorage.getItem(KEY) || "[]");
      const good = (v) => typeof v.name === "string" && /^\?|^$/.test(v.query);
      return Array.isArray(found) ? found.filter(good).slice(0, MOST) : [];
    } catch {
      return [];
    }
  };
  const keep = (views) => {
    try {
      localStorage.setItem(KEY, JSON.stringify(views.slice(0, MOST)));
    } catch {
      // A browser that keeps nothing: the address is still there.
    }
    show();
  };
  const row = (view) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const drop = document.createElement("button");
    link.className = "button quiet";
    link.href = `/console/findings${view.query}`;
    link.textContent = view.name;
    drop.className = "quiet";
    drop.type = "button";
    drop.textContent = "×";
    drop.setAttribute("aria-label", `Forget the view ${view.name}`);
    drop.addEventListener("click", () => keep(kept().filter((v) => v.name !== view.name)));
    item.append(link, drop);
    return item;
  };
  const show = () => {
    const place = document.getElementById("own-views");
    if (!place) return;
    place.hidden = false;
    place.querySelector("ul").replaceChildren(...kept().map(row));
  };
  document.addEventListener("submit", (event) => {
    if (!event.target.closest("#own-views")) return;
    event.preventDefault();
    const field = event.target.querySelector("input"), name = field.value.trim();
    if (!name) return;
    const given = new URLSearchParams(location.search);
    for (const part of ["before", "told", "whole", "fragment"]) given.delete(part);
    const query = given.size ? `?${given}` : "";
    keep([...kept().filter((v) => v.name !== name), { name, query }]);
    field.value = "";
  });
  document.addEventListener("htmx:afterSettle", show);
  document.addEventListener("DOMContentLoaded", show);
})();
