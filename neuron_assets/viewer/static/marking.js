// Comfort where tokens are marked: arrows go from token to token, and a mark colours its token.
"use strict";
for (const form of document.querySelectorAll(".marking")) {
  const fields = [...form.querySelectorAll(".mark input")];
  const colour = (field) => {
    const mark = Number(field.value);
    field.parentElement.className = mark >= 1 && mark <= 10 ? `mark m${mark}` : "mark";
  };
  fields.forEach((field, place) => {
    colour(field);
    field.addEventListener("input", () => colour(field));
    field.addEventListener("focus", () => field.select());
    field.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = fields[place + (step ?? 0)];
      if (step && next) {
        event.preventDefault();
        next.focus();
      }
    });
  });
}
