// The slider moves the border between the earlier and the later picture; a pair of the grid is put under the slider.
const frame = () => element.querySelector(".slide");

element.addEventListener("input", ({ target }) => {
  if (target.matches(".slide input")) frame().style.setProperty("--at", `${target.value}%`);
});

element.addEventListener("click", ({ target }) => {
  const pair = target.closest("[data-later]");
  if (!pair) return;
  const { earlier, later, prompt } = pair.dataset;
  const [first, second] = frame().querySelectorAll("img");
  [first.src, second.src] = [`picture/${earlier}.png`, `picture/${later}.png`];
  frame().querySelector(".prompt").textContent = prompt;
  for (const each of element.querySelectorAll("[data-later]")) each.setAttribute("aria-pressed", String(each === pair));
});
