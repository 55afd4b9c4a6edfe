// A finger drawn sideways across `area`. While it moves, --drag says how far, and data-swipe which way it will count; scrolling up and down stays
// the browser's (touch-action in studio.css).
const SWIPE_PX = 56;

function onSwipe(area, act) {
  let start = null;

  const end = (event) => {
    const way = area.dataset.swipe;
    start = null;
    delete area.dataset.swipe;
    area.style.removeProperty("--drag");
    if (way && event.type === "pointerup") act(way);
  };

  area.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && event.isPrimary) start = event;
  });
  area.addEventListener("pointermove", (event) => {
    if (!start || event.pointerId !== start.pointerId) return;
    const far = event.clientX - start.clientX;
    area.style.setProperty("--drag", `${far}px`);
    if (Math.abs(far) < SWIPE_PX) delete area.dataset.swipe;
    else area.dataset.swipe = far < 0 ? "left" : "right";
  });
  area.addEventListener("pointerup", end);
  area.addEventListener("pointercancel", end);
}
