// A button with data-command asks the server for it, with the rest of its data; data-goto opens a page at once.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-command]");
  if (!button || button.disabled) return;
  const { command, goto, ...data } = button.dataset;
  trigger("command", { command, ...data });
  if (goto) location.hash = goto;
});
