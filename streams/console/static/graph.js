// Save the picture of a lineage as PNG: the SVG file, drawn once on a canvas.
"use strict";
(() => {
  const SCALE = 2;
  const MOST = 16000; // pixels of a side; a browser draws no larger canvas

  const asPicture = (text) =>
    new Promise((done, failed) => {
      const picture = new Image();
      picture.onload = () => done(picture);
      picture.onerror = () => failed(new Error("this picture cannot be drawn"));
      picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    });

  const save = async (button) => {
    const got = await fetch(button.dataset.png, { credentials: "same-origin" });
    if (!got.ok) throw new Error("the server gave no picture");
    const picture = await asPicture(await got.text());
    const largest = Math.max(picture.width, picture.height, 1);
    const scale = Math.min(SCALE, MOST / largest);
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil(picture.width * scale);
    canvas.height = Math.ceil(picture.height * scale);
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const link = document.createElement("a");
    link.download = "lineage.png";
    link.href = canvas.toDataURL("image/png");
    link.click();
  };

  const ready = () => {
    for (const button of document.querySelectorAll("button[data-png]")) {
      button.hidden = false;
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest ? event.target.closest("button[data-png]") : null;
    if (!button) return;
    save(button).catch((error) => {
      button.textContent = "PNG failed: " + error.message + ". Save as SVG instead.";
    });
  });
  document.addEventListener("DOMContentLoaded", ready);
  document.addEventListener("htmx:afterSettle", ready);
})();
