// A lesson. Python says which stages are open and keeps every count; `html` comes from it sanitized, all else is text.

const HANDS_AT_MOST = 9999;
const REPLACED_WITHIN = 10_000; // milliseconds in which the last stage takes the widget's place

export default {
  render({ model, el }) {
    const view = makeView(model);
    el.append(view.root);
    model.on("change:_stages change:_next", view.draw);
    model.on("change:_said", view.drawSaid);
    view.draw();
    return () => {
      model.off("change:_stages change:_next", view.draw);
      model.off("change:_said", view.drawSaid);
    };
  },
};

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function makeView(model) {
  const steps = make("ol", { className: "fm-steps", ariaLabel: "Stages" });
  const stages = make("div", { className: "fm-stages" });
  const next = make("button", { type: "button", className: "fm-next" });
  const waits = make("p", { className: "fm-waits" });
  const foot = make("div", { className: "fm-foot" }, next, waits);
  const root = make("div", { className: "fm-teach mathjax_ignore" }, steps, stages, foot);
  const open = new Map();
  let clicked = false;
  let waited = false;
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take Enter, digits and arrows for its cells
  root.role = "group";
  root.ariaLabel = "Lesson";
  waits.role = "status";

  next.onclick = () => {
    if (next.ariaDisabled === "true") return;
    clicked = true;
    if (open.size + 1 === model.get("_titles").length) followIntoHtml(root.closest(".jp-OutputArea"));
    model.send({ do: "open" });
  };

  function draw() {
    const titles = model.get("_titles");
    const given = model.get("_stages");
    for (const stage of given.slice(open.size)) {
      const made = makeStage(stage, open.size + 1, (message) => model.send(message));
      open.set(stage.key, made);
      stages.append(made.root);
      made.draw(model.get("_said"));
      if (clicked) arriveAt(made.heading);
      clicked = waited = false;
    }
    const marked = titles.map((title, n) =>
      make("li", { textContent: title, className: n < given.length ? "fm-open" : "", ariaCurrent: n === given.length - 1 ? "step" : null }),
    );
    steps.replaceChildren(...marked);
    const { title, waits: why } = model.get("_next");
    foot.hidden = !title;
    next.textContent = `Open: ${title}`;
    next.ariaDisabled = why ? "true" : "false";
    waited ||= !!why;
    const news = why || (waited ? "Ready." : "");
    if (waits.textContent !== news) waits.textContent = news;
  }

  function drawSaid() {
    for (const stage of open.values()) stage.draw(model.get("_said"));
  }

  return { root, draw, drawSaid };
}

// Focus goes to what was opened, so that a keyboard goes on there and a screen reader reads it.
function arriveAt(heading) {
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "start" });
}

// With the last stage the output becomes plain HTML, which cannot take the focus by itself.
function followIntoHtml(area) {
  if (!area) return;
  const observer = new MutationObserver(() => {
    const heading = [...area.querySelectorAll("h2.fm-stage")].pop();
    if (!heading) return;
    observer.disconnect();
    arriveAt(heading);
  });
  observer.observe(area, { childList: true, subtree: true });
  setTimeout(() => observer.disconnect(), REPLACED_WITHIN);
}

function makeStage(stage, number, send) {
  const id = `fm-${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  const heading = make("h2", { id, className: "fm-title", tabIndex: -1, textContent: `${number} · ${stage.title}` });
  const body = make("div", { innerHTML: stage.html });
  const root = make("section", { className: "fm-stage" }, heading, body);
  root.setAttribute("aria-labelledby", id);
  const ballot = stage.options && makeBallot(stage, send);
  const note = stage.key === "predict" && makeNote(send);
  if (ballot) root.append(ballot.root);
  if (note) root.append(note.root);
  const draw = (said) => {
    ballot?.draw(said[stage.ballot] ?? {});
    if (note) note.draw(said.note ?? "");
  };
  return { root, heading, draw };
}

function makeBallot(stage, send) {
  const rows = stage.options.map(({ key, name }) => {
    const count = make("input", { type: "number", min: 0, max: HANDS_AT_MOST, value: 0, ariaLabel: `Hands: ${name}` });
    const more = make("button", { type: "button", textContent: "+1", ariaLabel: `One more: ${name}` });
    const bar = make("span", { className: "fm-bar" });
    bar.ariaHidden = "true";
    return { key, count, more, bar, sent: null, root: make("li", {}, make("span", { textContent: name }), count, more, bar) };
  });
  const hands = (row) => Math.min(HANDS_AT_MOST, Math.max(0, Math.trunc(Number(row.count.value)) || 0));

  function drawBars() {
    const most = Math.max(1, ...rows.map(hands));
    for (const row of rows) row.bar.style.width = `${(100 * hands(row)) / most}px`;
  }

  function tell(row) {
    row.sent = hands(row);
    send({ do: "count", ballot: stage.ballot, option: row.key, hands: row.sent });
    drawBars();
  }

  for (const row of rows) {
    row.count.oninput = () => tell(row);
    row.more.onclick = () => {
      row.count.value = Math.min(HANDS_AT_MOST, hands(row) + 1);
      tell(row);
    };
  }

  return {
    root: make("ul", { className: "fm-ballot", ariaLabel: "Hands" }, ...rows.map((row) => row.root)),
    draw(counts) {
      for (const row of rows) {
        const count = counts[row.key] ?? 0;
        if (row.sent === count) row.sent = null;
        // What was counted here a moment ago is newer than what Python has answered so far.
        if (row.sent === null && hands(row) !== count) row.count.value = count;
      }
      drawBars();
    },
  };
}

function makeNote(send) {
  const text = make("textarea", { rows: 2, maxLength: 2000 });
  text.onchange = () => send({ do: "note", text: text.value });
  return {
    root: make("label", { className: "fm-note" }, make("span", { textContent: "What does the class expect, in words?" }), text),
    draw(note) {
      if (document.activeElement !== text && text.value !== note) text.value = note;
    },
  };
}
