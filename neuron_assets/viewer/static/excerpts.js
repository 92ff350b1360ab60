// The numbers of heat-maps by keyboard and by touch: arrow keys go from token to token, a line tells what stands there.
"use strict";
(() => {
  const told = document.createElement("output");
  told.id = "told-token";
  document.body.append(told);
  let current = null;
  const tell = (token) => {
    if (current) current.classList.remove("on");
    current = token;
    told.textContent = token ? `${token.textContent.trim() || "·"}: ${token.title}` : "";
    if (token) token.classList.add("on");
  };
  const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  for (const map of document.querySelectorAll(".heat")) {
    const tokens = [...map.querySelectorAll(".t")];
    map.tabIndex = 0;
    map.addEventListener("focus", () => { if (!map.contains(current)) tell(tokens[0] ?? null); });
    map.addEventListener("blur", () => tell(null));
    map.addEventListener("click", (event) => { const token = event.target.closest(".t"); if (token) tell(token); });
    map.addEventListener("keydown", (event) => {
      if (!(event.key in moves)) return;
      event.preventDefault();
      const next = tokens.indexOf(current) + moves[event.key];
      tell(tokens[Math.min(tokens.length - 1, Math.max(0, next))]);
    });
  }
})();
