// A button with data-command asks the server for it, with the rest of its data and with the fields around it; data-goto opens a page at once.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-command]");
  if (!button || button.disabled) return;
  const { command, goto, ...data } = button.dataset;
  const fields = [...(button.closest("[data-fields]")?.querySelectorAll("[name]") ?? [])];
  const values = fields.map((field) => [field.name, field.type === "checkbox" ? String(field.checked) : field.value]);
  trigger("command", { ...Object.fromEntries(values), command, ...data });
  // A secret is handed over once and then nowhere any more.
  for (const field of fields) if (field.type === "password") field.value = "";
  if (goto) location.hash = goto;
});
