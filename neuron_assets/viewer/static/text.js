// Says that the subject is at work; Ctrl+Enter in the text sends it. The page does its work without this, too.
"use strict";
(() => {
  const form = document.getElementById("try");
  if (!form) return;
  const progress = document.getElementById("progress");
  form.addEventListener("submit", () => { progress.textContent = "The subject reads your text …"; });
  addEventListener("pageshow", () => { progress.textContent = ""; });
  form.elements.text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
})();
