// What was said and is not known to be kept yet. It lies in the browser's storage, one entry a press: so it outlives a reload, and no tab
// overwrites another's. Presses are sent in order, one request at a time, until the server has them; each has an id, and counts once.
const MOST_SENT = 32;
const PATIENCE_MS = 1000; // a press that is younger is on its way, and nothing to speak of

const boxName = () => `rlr-press ${props.value} `;
let outbox = [];

const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Those of an earlier page, and of tabs that are open elsewhere: sending them twice does no harm.
function openBox() {
  const names = Object.keys(localStorage).filter((name) => name.startsWith(boxName()));
  outbox = names.map((name) => JSON.parse(localStorage.getItem(name))).sort((a, b) => a.at - b.at);
}

function post(press) {
  const posted = { id: newId(), at: performance.timeOrigin + performance.now(), ...press };
  outbox.push(posted);
  localStorage.setItem(boxName() + posted.id, JSON.stringify(posted));
  setTimeout(tellUnkept, PATIENCE_MS);
  pump();
  return posted.id;
}

// Takes out what is kept, and returns it.
function takeOut(ids) {
  const kept = outbox.filter((press) => ids.includes(press.id));
  outbox = outbox.filter((press) => !ids.includes(press.id));
  for (const press of kept) localStorage.removeItem(boxName() + press.id);
  return kept;
}

const isOverdue = () => outbox.length > 0 && performance.timeOrigin + performance.now() - outbox[0].at >= PATIENCE_MS;

function tellUnkept() {
  find(".unkept").textContent = isOverdue() ? `Not yet kept: ${outbox.length}. Trying again until ${outbox.length === 1 ? "it is" : "they are"}.` : "";
}
