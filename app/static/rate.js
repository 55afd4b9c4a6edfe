// The A/B question. What a person does takes effect here at once; the server hears of it through an outbox that survives a reload.
// Every press has its own id, so one that is sent twice counts once; presses are sent in order, one request at a time.
const AHEAD = 8; // questions kept in the page
const WORDS = { a: "Left picked", b: "Right picked", tie: "Tie", both_bad: "Both bad", skip: "Skipped" };
const KEYS = { ArrowLeft: "a", ArrowRight: "b", ArrowUp: "tie", ArrowDown: "both_bad", s: "skip", S: "skip", z: "undo", Z: "undo", " ": "zoom" };

const find = (selector) => element.querySelector(selector);
const root = find(".question");
const boxName = () => `studio-outbox-${props.value}`;
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

let questions = []; // the first one is on the screen
let outbox = []; // presses the server has not confirmed
let history = []; // questions answered in this page, the latest last
let answers = 0; // confirmed by the server
let sending = false;
let timer = null;
let retry = true; // the person wants questions, even if making them failed before
let waiting = find(".prompt").textContent; // what stands where the next question will be
let failure = ""; // why no more questions come

const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const picture = (id) => `picture/${id}.png`;
const isOpen = () => document.body.dataset.page === "rate" && !document.hidden;

function show() {
  const question = questions[0];
  root.classList.toggle("waits", !question);
  find(".prompt").textContent = question ? question.prompt : failure ? "No further questions" : waiting;
  root.classList.toggle("stuck", !question && Boolean(failure));
  for (const side of ["a", "b"]) {
    const button = find(`[data-choice="${side}"]`);
    button.setAttribute("aria-disabled", String(!question));
    button.setAttribute("aria-label", question ? `${side === "a" ? "Left" : "Right"} picture is better: ${question.prompt}` : "No question yet");
    const image = button.querySelector("img");
    if (question) image.src = picture(question[side]);
    else image.removeAttribute("src");
  }
  root.dataset.pair = question ? question.id : "";
  root.dataset.ready = questions.length;
  for (const next of questions.slice(1, 4)) for (const side of ["a", "b"]) new Image().src = picture(next[side]);
  tally();
}

function tally() {
  const waiting = outbox.reduce((sum, press) => sum + (press.kind === "undo" ? -1 : press.choice === "skip" ? 0 : 1), 0);
  const count = Math.max(0, answers + waiting);
  find(".count").textContent = `${count} answer${count === 1 ? "" : "s"}`;
  const trail = find(".trail");
  while (trail.childElementCount > history.length) trail.lastElementChild.remove();
  while (trail.childElementCount < history.length) {
    const dot = document.createElement("i");
    dot.className = history[trail.childElementCount].choice;
    trail.append(dot);
  }
}

function say(sentence) {
  find(".say").textContent = sentence;
}

function warn(sentence) {
  find(".warning").textContent = sentence;
}

// A copy of the picture flies off, so that the next question can be there at once.
function flyOff(choice) {
  if (calm.matches) return;
  const sides = choice === "both_bad" ? ["a", "b"] : choice === "tie" ? ["a", "b"] : choice === "skip" ? [] : [choice];
  for (const side of sides) {
    const button = find(`[data-choice="${side}"]`);
    const ghost = document.createElement("div");
    ghost.className = choice === "both_bad" ? "ghost dull" : "ghost";
    ghost.setAttribute("aria-hidden", "true");
    ghost.style.cssText = `left:${button.offsetLeft}px;top:${button.offsetTop}px;width:${button.offsetWidth}px;height:${button.offsetHeight}px`;
    ghost.append(button.querySelector("img").cloneNode());
    find(".twins").append(ghost);
    ghost.addEventListener("animationend", () => ghost.remove());
  }
}

function strike(name) {
  const button = find(`.keys [data-choice="${name}"], .keys [data-act="${name}"]`);
  if (!button) return;
  button.classList.add("struck");
  setTimeout(() => button.classList.remove("struck"), 180);
}

function post(press) {
  outbox.push({ id: newId(), ...press });
  sessionStorage.setItem(boxName(), JSON.stringify(outbox));
  pump();
}

function answer(choice) {
  strike(choice);
  const question = questions[0];
  if (!question) return say("The next question is not ready yet.");
  flyOff(choice);
  questions.shift();
  history.push({ ...question, choice });
  post({ kind: "answer", pair: question.id, choice });
  show();
  say(`${WORDS[choice]}. ${questions[0] ? `Next: ${questions[0].prompt}` : ""}`);
}

function undo() {
  strike("undo");
  const last = history.pop();
  if (last) questions.unshift(last);
  post({ kind: "undo", pair: last ? last.id : null });
  show();
  say("Last answer taken back.");
}

function zoom(on = !root.classList.contains("zoomed")) {
  root.classList.toggle("zoomed", on);
  find('[data-act="zoom"]').setAttribute("aria-pressed", String(on));
}

function receive(reply) {
  const done = new Set(reply.done);
  const tookBack = outbox.some((press) => done.has(press.id) && press.kind === "undo" && press.pair === null);
  outbox = outbox.filter((press) => !done.has(press.id));
  sessionStorage.setItem(boxName(), JSON.stringify(outbox));
  answers = reply.answers;
  ({ failure, waiting } = reply);
  warn(failure || reply.sentence);
  const answered = new Set(outbox.filter((press) => press.kind === "answer").map((press) => press.pair));
  const fresh = reply.questions.filter((each) => !answered.has(each.id));
  // What is on the screen stays there, as long as it is still a question.
  const restored = outbox.some((press) => press.kind === "undo");
  const shown = questions[0];
  const stays = shown && !tookBack && (restored || fresh.some((each) => each.id === shown.id));
  questions = stays ? [shown, ...fresh.filter((each) => each.id !== shown.id)] : fresh;
  show();
}

async function pump() {
  clearTimeout(timer);
  if (sending || !props.value) return;
  sending = true;
  let pause = null;
  try {
    const reply = await server.press({ session: props.value, presses: outbox.slice(0, 32), ahead: AHEAD, shown: questions[0]?.id, retry });
    retry = false;
    if (reply?.error) return warn(reply.error);
    if (!Array.isArray(reply?.done)) throw new Error("no reply");
    receive(reply);
    pause = outbox.length ? 0 : questions.length < AHEAD && !failure ? 700 : null;
  } catch {
    warn(outbox.length ? `${outbox.length} of your answers could not be sent yet; trying again.` : "The studio does not answer; trying again.");
    pause = 1000;
  } finally {
    sending = false;
  }
  if (pause !== null && (isOpen() || outbox.length)) timer = setTimeout(pump, pause);
}

function tryAgain() {
  retry = true;
  failure = "";
  show();
  pump();
}

function begin() {
  questions = [];
  history = [];
  outbox = JSON.parse(sessionStorage.getItem(boxName()) || "[]");
  show();
  if (isOpen() || outbox.length) pump();
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.choice) answer(button.dataset.choice);
  else if (button.dataset.act === "undo") undo();
  else if (button.dataset.act === "zoom") zoom();
  else if (button.dataset.act === "retry") tryAgain();
});

document.addEventListener("keydown", (event) => {
  if (!isOpen() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "Escape") return zoom(false);
  const act = KEYS[event.key];
  if (!act || (act === "zoom" && event.target.closest("button, a, [role]"))) return;
  event.preventDefault();
  if (event.repeat) return;
  if (act === "undo") undo();
  else if (act === "zoom") zoom();
  else answer(act);
});

document.addEventListener("studio-page", () => (isOpen() ? tryAgain() : zoom(false)));
document.addEventListener("visibilitychange", () => isOpen() && pump());
watch("value", begin);
begin();
