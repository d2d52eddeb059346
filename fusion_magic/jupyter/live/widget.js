// The live view of a run. The model folds messages; each view draws the fold, at most once a frame, in place.
// HTML comes only as `blocks` and `html`, which Python has sanitized; all else is text.

const GOING = ["queued", "thinking", "searching", "writing", "waiting"];
const NEAR = 24; // pixels from the end of a text that still count as "at the end"

export default () => {
  const board = { number: -1, click: false, run: {}, cards: new Map(), begun: 0, html: null };
  const views = new Set();
  const said = [];
  let frame = 0;
  let missed = false;

  const draw = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      const words = said.splice(0).join(", ");
      for (const view of views) view.draw(words);
    });
  };

  function fold(message, model) {
    if (message.number <= board.number) return;
    const full = message.whole || "html" in message;
    if (!full && message.number !== board.number + 1) {
      if (board.click && !missed) model.send({ missed: board.number });
      missed = true;
      return;
    }
    board.number = message.number;
    if (full) missed = false;
    if (message.whole) {
      board.click = message.click;
      board.begun = performance.now() - message.age * 1000;
    }
    if ("html" in message) board.html = message.html;
    Object.assign(board.run, message.run);
    for (const [key, news] of Object.entries(message.cards ?? {})) foldCard(key, news, message.whole);
    draw();
  }

  function foldCard(key, { blocks = [], rest, more, thought, tools, ...facts }, whole) {
    let card = board.cards.get(key);
    if (!card) board.cards.set(key, (card = { version: 0, blocks: [], rest: "", thought: "", tools: new Map() }));
    for (const [place, use] of Object.entries(tools ?? {})) card.tools.set(place, use);
    if (facts.attempt !== undefined && facts.attempt !== card.attempt) {
      Object.assign(card, { blocks: [], rest: "", thought: "" });
    }
    if (facts.state && facts.state !== card.state && !["queued", "thinking"].includes(facts.state)) {
      said.push(`${facts.name ?? card.name}: ${facts.state}`);
    }
    if (Object.keys(facts).length || tools) card.version += 1;
    Object.assign(card, facts);
    card.blocks.push(...(whole ? blocks.slice(card.blocks.length) : blocks));
    card.rest = rest ?? card.rest + (more ?? "");
    if (thought !== undefined) card.thought = whole ? thought : (card.thought + thought).slice(-8000);
  }

  return {
    initialize({ model }) {
      fold(model.get("state"), model);
      model.on("msg:custom", (message) => fold(message, model));
      if (board.click) model.send({ hello: board.number });
    },
    render({ model, el }) {
      const view = makeView(board, (message) => model.send(message));
      el.append(view.root);
      views.add(view);
      view.draw("");
      return () => {
        view.close();
        views.delete(view);
      };
    },
  };
};

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Sets only what differs: writing the same text again would still cost a layout and a reader's selection.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = !text;
}

// A button that stays focusable after its click, so that a reader with a keyboard is not thrown to the page's top.
function button(text, after, click) {
  const node = make("button", { type: "button", className: "fm-button", textContent: text });
  node.onclick = () => {
    if (node.ariaDisabled === "true") return;
    node.ariaDisabled = "true";
    node.textContent = after;
    click();
  };
  return node;
}

function makeView(board, send) {
  const title = make("p", { className: "fm-title" });
  const panel = make("span");
  const clock = make("span");
  const totals = make("span");
  const stop = button("Stop", "Stopping …", () => send({ stop: true }));
  const hint = make("p", { className: "fm-hint", textContent: "Stop with the notebook’s ■" });
  const notice = make("p", { className: "fm-notice" });
  const warnings = make("ul", { className: "fm-warnings" });
  const seats = make("div", { className: "fm-seats" });
  const chairs = make("div", { className: "fm-chairs" });
  const status = make("div", { className: "fm-status" });
  const facts = make("p", { className: "fm-facts" }, panel, clock, totals);
  const head = make("div", { className: "fm-head" }, make("div", { className: "fm-about" }, title, facts, hint), stop);
  const body = make("div", { className: "fm-body" }, head, notice, warnings, seats, chairs, status);
  const root = make("div", { className: "fm-live mathjax_ignore" }, body);
  const cards = new Map();
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take Enter and arrows for its cells
  root.role = "group";
  root.ariaLabel = "Fusion run";
  status.role = "status";

  const tick = () => {
    const seconds = Math.floor((performance.now() - board.begun) / 1000);
    put(clock, board.run.over || (board.run.title ? `${seconds} s` : ""));
  };
  const timer = setInterval(tick, 1000);

  function draw(words) {
    if (board.html !== null) return finish();
    const run = board.run;
    put(title, run.title ?? "");
    put(panel, run.panel ?? "");
    put(totals, run.totals ?? "");
    put(notice, run.notice ?? "");
    stop.hidden = !board.click || !!run.over;
    hint.hidden = board.click || !!run.over;
    const told = run.warnings ?? [];
    for (const text of told.slice(warnings.children.length)) warnings.append(make("li", { textContent: text }));
    warnings.hidden = !told.length;
    tick();
    for (const [key, card] of board.cards) {
      if (!cards.has(key)) deal(key, card);
      cards.get(key).draw(card);
    }
    // Only after all has been written, or the page would be laid out once for each card.
    for (const card of cards.values()) card.follow();
    if (words) status.textContent = words;
  }

  function deal(key, card) {
    const place = card.stage === "panel" ? seats : chairs;
    const made = makeCard(card, board.click && card.stage === "panel" ? () => send({ skip: key }) : null);
    cards.set(key, made);
    place.append(made.root);
    seats.dataset.count = seats.children.length;
  }

  function finish() {
    clearInterval(timer);
    if (root.contains(body)) {
      root.className = "";
      root.innerHTML = board.html;
    }
  }

  return { root, draw, close: () => clearInterval(timer) };
}

function makeCard(card, skip) {
  const who = card.stage === "panel" ? `Seat ${card.name}` : card.name;
  const model = make("span", { className: "fm-model" });
  const name = make("span", { className: "fm-name", textContent: card.name });
  const left = skip && button("Skip", "Skipping …", skip);
  const state = make("span", { className: "fm-state" });
  const figures = make("span", { className: "fm-figures" });
  const price = make("p", { className: "fm-price" });
  const note = make("p", { className: "fm-note" });
  const thought = make("div", { className: "fm-thought", tabIndex: 0, role: "group", ariaLabel: `${who}, reasoning` });
  const thinking = make("details", {}, make("summary", { textContent: "Reasoning" }), thought);
  const uses = make("ul", { className: "fm-uses", tabIndex: 0, ariaLabel: `${who}, tools` });
  const used = make("summary");
  const tools = make("details", { className: "fm-tools", open: true }, used, uses);
  const rest = document.createTextNode("");
  const restBox = make("div", { className: "fm-rest" }, rest);
  const text = make("div", { className: "fm-text", tabIndex: 0, role: "group", ariaLabel: `${who}, text` }, restBox);
  const root = make(
    "section",
    { className: `fm-card fm-${card.stage}` },
    make("div", { className: "fm-top" }, name, model, ...(left ? [left] : [])),
    make("p", { className: "fm-line" }, state, figures),
    price,
    note,
    tools,
    thinking,
    text,
  );
  const scrolled = [text, thought, uses].map(followEnd);
  let [version, attempt, drawn] = [0, 0, 0];

  function draw(card) {
    if (version !== card.version) drawFacts(card);
    drawText(card);
  }

  function drawFacts(card) {
    version = card.version;
    root.ariaLabel = `${who}, ${card.model}`;
    root.dataset.state = card.state;
    put(model, card.model);
    put(state, card.state);
    put(figures, card.figures);
    put(price, isOver(card) ? "" : card.price); // then the figures have the cost
    put(note, card.note);
    drawTools(card.tools, card.unlisted);
    if (left) drawSkip(card);
  }

  function drawTools(calls, unlisted) {
    tools.hidden = !calls.size;
    put(used, unlisted ? `Tools (${calls.size + unlisted}, the first ${calls.size})` : `Tools (${calls.size})`);
    let row = uses.firstElementChild;
    for (const { what, state, figures } of calls.values()) {
      row ??= uses.appendChild(make("li", {}, make("span"), make("span", { className: "fm-took" })));
      row.dataset.use = state;
      put(row.firstChild, what);
      put(row.lastChild, { going: "…", failed: `failed: ${figures}` }[state] ?? figures);
      row = row.nextElementSibling;
    }
  }

  function drawText(card) {
    if (attempt !== card.attempt) clear(card.attempt);
    for (; drawn < card.blocks.length; drawn++) {
      restBox.before(make("div", { className: "fm-block", innerHTML: card.blocks[drawn] }));
    }
    if (card.rest.startsWith(rest.data)) {
      if (card.rest.length > rest.length) rest.appendData(card.rest.slice(rest.length));
    } else {
      rest.data = card.rest;
    }
    text.hidden = !drawn && !card.rest && (card.stage !== "panel" || isOver(card));
    put(thought, card.thought);
    thinking.hidden = !card.thought;
  }

  function drawSkip(card) {
    const over = isOver(card);
    if (over && document.activeElement === left) text.focus({ preventScroll: true });
    left.hidden = over;
    left.ariaLabel = `Skip ${who}, ${card.model}`;
  }

  function clear(now) {
    for (const block of text.querySelectorAll(":scope > .fm-block")) block.remove();
    rest.data = "";
    [attempt, drawn] = [now, 0];
  }

  return { root, draw, follow: () => scrolled.forEach((follow) => follow()) };
}

const isOver = (card) => !GOING.includes(card.state);

// Keeps the end of a growing text in sight, unless the reader has scrolled up.
function followEnd(box) {
  let follows = true;
  box.addEventListener("scroll", () => {
    follows = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
  });
  return () => {
    if (follows) box.scrollTop = 1e9;
  };
}
