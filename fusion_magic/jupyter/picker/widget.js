// The page of a picker. Python's `_state` is the truth; what is clicked here is a draft until Python has answered.
// Names and descriptions are hostile: all text goes in as text nodes and attributes, never as HTML.

const ROW = 30, ROWS = 8; // a row in pixels and how many are in sight, as in widget.css: to measure costs a layout
const MILLION = 1e6;
const ABILITIES = { t: "tools", r: "reasoning", j: "JSON", i: "images" };
const WORDS = { tools: "t", reasoning: "r", thinking: "r", json: "j", structured: "j", images: "i", vision: "i" };
const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const OPTIONS = { temperature: "Temperature", effort: "Reasoning effort", system: "Persona" };
const CHAIRS = { judge: "Judge", synthesizer: "Synthesizer" };
const ASSUMED = "for 1,000 tokens of prompt and 1,500 of each answer; reasoning comes on top";
const HINT = "Also: vendor:google · <$1 (a million output tokens) · >200k (context) · tools · reasoning · json · images · free";
const SORTS = [
    ["name", "Model", (row) => row.title.toLowerCase()],
    ["read", "In, $/M", (row) => row.read],
    ["write", "Out, $/M", (row) => row.write],
    ["context", "Context", (row) => row.context || null],
];
const FREE_PANEL = "openrouter/free-panel";

/** An element: `on…` are listeners, booleans toggle, the rest are attributes; children are nodes or text. */
function h(tag, props = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
        if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
        else if (name === "value") node.value = value;
        else if (typeof value === "boolean" && !name.startsWith("aria-")) node.toggleAttribute(name, value);
        else if (value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== ""));
    return node;
}

function asRow([name, title, read, write, context, able, created]) {
    const vendor = name.includes("/") ? name.replace(/^~/, "").split("/")[0] : name.split("@")[1] || "";
    const text = `${name} ${title}`.toLowerCase();
    return { name, title: title || name, read, write, context, able, created, vendor: vendor.toLowerCase(), text };
}

const isFree = (row) => row.read === 0 && row.write === 0;

/** What a word of the search asks of a row. */
function test(word) {
    const [, key, number, unit] = word.match(/^(vendor:|<\$?|>)([\d.]+)?([km]?)/) || [];
    if (key === "vendor:") return (row) => row.vendor.startsWith(word.slice(7));
    if (number && key === ">") return (row) => row.context > number * ({ k: 1e3, m: MILLION }[unit] || 1);
    if (number && key) return (row) => row.write !== null && row.write < +number;
    if (word === "free") return (row) => isFree(row) || row.text.includes(word);
    return (row) => row.text.includes(word) || (WORDS[word] && row.able.includes(WORDS[word]));
}

function search(rows, { query, filters, vendor, sort }) {
    const tests = query.toLowerCase().split(/\s+/).filter(Boolean).map(test);
    for (const filter of filters) tests.push(filter === "free" ? isFree : (row) => row.able.includes(filter));
    if (vendor) tests.push((row) => row.vendor === vendor);
    const found = rows.filter((row) => tests.every((passes) => passes(row)));
    if (!sort.key) return found;
    const value = SORTS.find(([key]) => key === sort.key)[2];
    const rank = (one, other) => (one < other ? -1 : one > other ? 1 : 0) * sort.way;
    return found.sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        return one === null || other === null ? (one === null) - (other === null) : rank(one, other);
    });
}

const dollars = (price) => (price === null ? "–" : price === 0 ? "free" : price.toFixed(price < 0.1 ? 3 : 2));
const tokens = (count) => (count >= MILLION ? `${+(count / MILLION).toFixed(1)}M` : count ? `${Math.round(count / 1000)}k` : "–");

function ago(asked) {
    const minutes = Math.max(0, Date.now() / 1000 - asked) / 60;
    const [count, unit] = minutes < 90 ? [minutes, "minute"] : minutes < 2880 ? [minutes / 60, "hour"] : [minutes / 1440, "day"];
    return minutes < 1 ? "just now" : `${Math.round(count)} ${unit}${Math.round(count) === 1 ? "" : "s"} ago`;
}

function render({ model, el }) {
    const page = String(performance.timeOrigin), id = `fm-pick-${Math.random().toString(36).slice(2)}`;
    const at = { query: "", filters: new Set(), vendor: "", sort: { key: "", way: 1 }, chair: "", active: 0, open: -1, top: 0 };
    let draft, asked = 0, waiting = 0, rows = [], byName = new Map(), found = [];
    const ask = (what, more) => model.send({ do: what, page, ...more });

    // --- the frame, made once -----------------------------------------------------------------------
    const part = (name, tag = "div", props = {}) => h(tag, { class: `fm-${name}`, ...props });
    const head = part("head"), seats = part("seats", "ol", { "aria-label": "Seats of the panel" }), chairs = part("chairs");
    const fold = part("fold", "div", { id: `${id}-fold`, role: "group", "aria-label": "Options of the seat" });
    const doubts = part("doubts", "ul", { "aria-label": "What speaks against this panel" });
    const heard = part("heard", "div", { role: "status" }), said = part("said", "div", { role: "status" });
    const searchLabel = h("label", { for: `${id}-search` });
    const input = h("input", {
        id: `${id}-search`, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false",
        "aria-autocomplete": "list", "aria-expanded": "true", "aria-controls": `${id}-list`,
        "aria-describedby": `${id}-hint`, placeholder: "Search by name, vendor, price, context or ability; Enter adds",
        oninput: () => { at.query = input.value; at.active = 0; drawList(); }, onkeydown: onKey,
    });
    const cancel = h("button", { type: "button", onclick: () => choose("", at.chair) }, "Cancel");
    const filters = part("filters", "div", { role: "group", "aria-label": "Only models with" }), spacer = h("div", { role: "presentation" });
    const header = part("columns", "div", { role: "group", "aria-label": "Sort the models" });
    const list = h("div", { class: "fm-list", id: `${id}-list`, role: "listbox", "aria-label": "Models", tabindex: "-1",
        onscroll: () => { at.top = list.scrollTop; drawRows(); } }, spacer);
    const foot = part("foot"), line = part("line");
    const form = (label, field, button, send) =>
        h("form", { onsubmit: (event) => { event.preventDefault(); send(); } }, h("label", { for: field.id }, label), field, button);
    const prompt = h("textarea", { id: `${id}-prompt`, rows: "3", placeholder: "What should the panel be asked?",
        onchange: () => { model.set("prompt", prompt.value); model.save_changes(); } });
    const runForm = form("Prompt", prompt, h("button", { class: "fm-main" }, "Run"), () => { tell("Asking …", ""); ask("run", { prompt: prompt.value }); });
    const entry = (key, tag, props, ...children) => h(tag, { id: `${id}-${key}`, onchange: (event) => change(key, event.target.value.trim()), ...props }, ...children);
    const fields = {
        temperature: entry("temperature", "input", { type: "number", min: "0", max: "2", step: "0.1", placeholder: "the run’s" }),
        effort: entry("effort", "select", {}, ["", ...EFFORTS].map((word) => h("option", { value: word }, word || "the run’s"))),
        system: entry("system", "textarea", { rows: "2", placeholder: "You are …" }),
    };
    fold.append(h("h4"), ...Object.entries(fields).map(([key, field]) => h("div", {}, h("label", { for: field.id }, OPTIONS[key]), field)));
    const name = h("input", { id: `${id}-name`, type: "text", spellcheck: "false", autocomplete: "off", placeholder: "my-panel" });
    const save = form("Save as", name, h("button", {}, "Save"), () => ask("save", { name: name.value }));
    const root = h("div", { class: "fm-picker", role: "group", "aria-label": "Panel picker", "data-lm-suppress-shortcuts": "true" },
        head, seats, fold, chairs, doubts, h("div", { class: "fm-search" }, searchLabel, input, cancel,
            h("p", { id: `${id}-hint`, class: "fm-hint" }, HINT)),
        filters, header, list, foot, h("div", { class: "fm-ways" }, runForm, h("div", {}, line, save)), said, heard);
    el.classList.add("fm-place");
    el.append(root);

    // --- proposing and choosing ---------------------------------------------------------------------
    function propose(panel, words, focus) {
        draft = panel;
        waiting = ++asked;
        ask("propose", { panel, view: id, number: asked });
        heard.textContent = words;
        drawPanel(focus);
        drawRows();
    }
    const withSeats = (models) => ({ ...draft, models });
    const letter = (index) => String.fromCharCode(65 + index);
    function pick(model) {
        const chair = at.chair;
        if (!chair) return propose(withSeats([...draft.models, { model }]), `Seat ${letter(draft.models.length)}: ${model}.`);
        propose({ ...draft, [chair]: { model } }, `${model} is the ${chair}.`);
        choose("", chair);
    }
    function move(from, by) {
        const models = [...draft.models];
        models.splice(from + by, 0, ...models.splice(from, 1));
        at.open = at.open === from ? from + by : at.open === from + by ? from : at.open;
        propose(withSeats(models), `Now seat ${letter(from + by)}.`, `${by < 0 ? "left" : "right"}-${from + by}`);
    }
    function remove(index) {
        const models = draft.models.filter((_, other) => other !== index);
        at.open = -1;
        propose(withSeats(models), `${draft.models[index].model} is removed.`, `remove-${Math.min(index, models.length - 1)}`);
    }
    function change(field, value) {
        const seat = { ...draft.models[at.open], [field]: field === "temperature" ? +value : value };
        if (value === "") delete seat[field];
        propose(withSeats(draft.models.map((other, place) => (place === at.open ? seat : other))), "");
    }
    function choose(chair, back) {
        at.chair = chair;
        drawPanel(back && `change-${back}`);
        if (!back) input.focus();
    }
    // What is made anew while it has the focus has it afterwards.
    const keepFocus = (draw) => () => {
        const key = root.contains(root.getRootNode().activeElement) && root.getRootNode().activeElement.dataset.key;
        draw();
        if (key) root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    };

    // --- the panel ----------------------------------------------------------------------------------
    const title = (model) =>
        model === FREE_PANEL ? "free models, chosen when it runs" : (byName.get(model)?.title || model).replace(/^[^:]{1,30}: /, "");
    const icon = (key, sign, label, onclick, more = {}) =>
        h("button", { type: "button", class: "fm-icon", "data-key": key, "aria-label": label, title: label, onclick, ...more }, sign);

    function drawPanel(focus) {
        searchLabel.textContent = at.chair ? `Choose the ${at.chair}` : "Add a seat";
        cancel.hidden = !at.chair;
        const active = root.getRootNode().activeElement;
        focus = focus || (root.contains(active) && active.dataset.key);
        drawHead();
        seats.replaceChildren(...draft.models.map(drawSeat));
        chairs.replaceChildren(...Object.keys(CHAIRS).map(drawChair), drawWeb());
        doubts.replaceChildren(...model.get("_state").doubts.map((doubt) => h("li", {}, doubt)));
        drawFold();
        drawLine();
        const target = focus && root.querySelector(`[data-key="${CSS.escape(focus)}"]`);
        if (target) (target.disabled ? target.parentElement.querySelector("button:not(:disabled)") : target).focus();
    }
    function drawHead() {
        const state = model.get("_state"), named = model.get("_named"), known = named.some((panel) => panel.name === state.name);
        const option = ({ name, score }) => h("option", { value: name }, score ? `${name} · DRACO ${score.toFixed(1)}` : name);
        const options = (own) => named.filter((panel) => panel.own === own).map(option);
        const groups = [["Your panels", options(true)], ["Presets", options(false)]].filter(([, found]) => found.length);
        const start = h("select", { id: `${id}-start`, "data-key": "start", onchange: () => ask("named", { name: start.value }) },
            known ? null : h("option", { value: "" }, state.name.endsWith("(changed)") ? state.name : "own choice"),
            groups.map(([label, found]) => h("optgroup", { label }, found)));
        start.value = known ? state.name : "";
        const told = [state.about, state.score && `DRACO ${state.score} %, as published, measured with tools.`, state.source && `Source: ${state.source}.`];
        const cost = h("div", { class: waiting ? "fm-cost fm-waits" : "fm-cost" },
            h("strong", {}, state.parts.length ? `${state.cost} a run` : state.cost), " ",
            h("span", {}, state.parts.join(" · ")), h("span", {}, state.parts.length ? ASSUMED : ""), h("span", {}, draft.tools.length ? "Fees of web searches, and tokens of what they bring, are not in it." : ""),
            h("span", {}, state.unpriced.length ? `not priced: ${state.unpriced.join(", ")}` : ""));
        head.replaceChildren(h("div", {}, h("label", { for: start.id }, "Start from"), start, h("p", {}, told.filter(Boolean).join(" "))), cost);
    }
    function drawSeat(seat, index) {
        const last = draft.models.length - 1, own = `${letter(index)}, ${seat.model}`;
        const said = [seat.temperature !== undefined && `t ${seat.temperature}`, seat.effort, seat.system && "persona"];
        return h("li", { class: "fm-seat" },
            h("b", {}, letter(index)), h("span", { class: "fm-name", title: seat.model }, title(seat.model)),
            h("small", {}, said.filter(Boolean).join(" · ")),
            icon(`left-${index}`, "‹", `Move ${own} left`, () => move(index, -1), { disabled: index === 0 }),
            icon(`right-${index}`, "›", `Move ${own} right`, () => move(index, 1), { disabled: index === last }),
            icon(`open-${index}`, "⋯", `Options of ${own}`, () => { at.open = at.open === index ? -1 : index; drawPanel(); }, { "aria-expanded": String(at.open === index), "aria-controls": `${id}-fold` }),
            icon(`remove-${index}`, "×", `Remove ${own}`, () => remove(index), { disabled: last === 0 }));
    }
    // Made once for a seat, then only filled in: a field must not vanish while it is left for the next one.
    function drawFold() {
        const seat = draft.models[at.open], active = root.getRootNode().activeElement;
        fold.hidden = !seat;
        if (!seat) return void (at.open = at.filled = -1);
        for (const [key, field] of Object.entries(fields)) {
            if (field !== active || at.filled !== at.open) field.value = seat[key] ?? "";
        }
        at.filled = at.open;
        fold.firstChild.textContent = `Seat ${letter(at.open)}`;
    }
    function drawChair(chair) {
        const now = draft[chair].model, usual = chair === "judge" ? draft.models[0].model : draft.judge.model;
        const words = chair === "judge" ? "Use seat A" : "Use the judge";
        const reset = () => propose({ ...draft, [chair]: { model: usual } }, `${usual} is the ${chair}.`, `change-${chair}`);
        return h("div", { class: at.chair === chair ? "fm-chair fm-chosen" : "fm-chair" },
            h("b", {}, CHAIRS[chair]), h("span", { class: "fm-name", title: now }, title(now)),
            h("button", { type: "button", "data-key": `change-${chair}`, "aria-label": `Change the ${chair}, ${now}`, onclick: () => choose(chair) }, "Change"),
            now === usual ? null : h("button", { type: "button", "data-key": `usual-${chair}`, "aria-label": `${words} as ${chair}`, onclick: reset }, words));
    }
    function drawWeb() {
        const box = h("input", { type: "checkbox", role: "switch", "data-key": "web", checked: draft.tools.length > 0,
            onchange: () => propose({ ...draft, tools: box.checked ? ["web"] : [] }, `Web search and pages: ${box.checked ? "on" : "off"}.`) });
        return h("div", { class: "fm-chair" }, h("b", {}, "Tools"), h("label", {}, box, "Web search and pages"));
    }
    function drawLine() {
        const { text, problem } = model.get("_state").line, field = `${id}-line`;
        if (!text) return line.replaceChildren(h("span", {}, "Line"), h("p", {}, problem));
        const shown = h("input", { id: field, readonly: true, value: text, "data-key": "line", onfocus: () => shown.select() });
        const copy = () => navigator.clipboard.writeText(text).then(() => tell("The line is copied."), () => { shown.focus(); tell("The page may not copy; the line is selected."); });
        return line.replaceChildren(h("label", { for: field }, "Line"), shown,
            h("button", { type: "button", "data-key": "copy", "aria-label": "Copy as magic line", onclick: () => (navigator.clipboard ? copy() : shown.focus()) }, "Copy"));
    }

    // --- the models ---------------------------------------------------------------------------------
    function drawFilters() {
        const toggle = (key, label) => h("button", { type: "button", "data-key": `filter-${key}`, "aria-pressed": String(at.filters.has(key)),
            onclick: () => { at.filters.has(key) ? at.filters.delete(key) : at.filters.add(key); redraw(); } }, label);
        const vendors = [...new Set(rows.map((row) => row.vendor))].filter(Boolean).sort();
        at.vendor = vendors.includes(at.vendor) ? at.vendor : "";
        const vendor = h("select", { "aria-label": "Vendor", "data-key": "vendor", onchange: () => { at.vendor = vendor.value; redraw(); } },
            h("option", { value: "" }, "every vendor"), vendors.map((word) => h("option", { value: word }, word)));
        vendor.value = at.vendor;
        filters.replaceChildren(...Object.entries({ ...ABILITIES, free: "free" }).map(([key, label]) => toggle(key, label)), vendor, h("output", {}));
        const sorter = ([key, label]) => {
            const way = at.sort.key === key ? (at.sort.way > 0 ? " ↑" : " ↓") : "";
            return h("button", { type: "button", "data-key": `sort-${key}`, "aria-pressed": String(Boolean(way)), onclick: () => sortBy(key) }, label + way);
        };
        header.replaceChildren(...SORTS.map(sorter), h("span", {}, "Abilities"));
    }
    function sortBy(key) {
        const first = key === "context" ? -1 : 1; // then the other way, then as it was
        at.sort = at.sort.key !== key ? { key, way: first } : at.sort.way === first ? { key, way: -first } : { key: "", way: 1 };
        redraw();
    }
    const redraw = keepFocus(() => { at.active = 0; drawFilters(); drawList(); });
    function drawList() {
        found = search(rows, at);
        const typed = at.query.trim();
        if (!found.length && /^[^\s{}$<>]+[/@][^\s{}$]+$/.test(typed)) found = [asRow([typed, `Use “${typed}”, which is in no list`, null, null, 0, "", 0])];
        filters.querySelector("output").textContent = found.length === rows.length ? `${rows.length} models` : `${found.length} of ${rows.length}`;
        spacer.style.height = `${found.length * ROW}px`;
        if (at.top) list.scrollTop = at.top = 0;
        drawRows();
    }
    function drawRows() {
        const first = Math.max(0, Math.floor(at.top / ROW) - 2), shown = ROWS + 5;
        spacer.replaceChildren(...found.slice(first, first + shown).map((row, place) => drawRow(row, first + place)));
        const isDrawn = at.active >= first && at.active < Math.min(first + shown, found.length);
        input.setAttribute("aria-activedescendant", isDrawn ? `${id}-${at.active}` : "");
    }
    function drawRow(row, index) {
        const sits = draft.models.map((seat, place) => (seat.model === row.name ? letter(place) : "")).filter(Boolean).join(" ");
        const can = [...row.able].map((key) => ABILITIES[key]).join(" · ");
        const node = h("div", { id: `${id}-${index}`, role: "option", class: "fm-row", "aria-selected": String(index === at.active),
            "aria-setsize": found.length, "aria-posinset": index + 1, onmousedown: (event) => event.preventDefault(), onclick: () => { at.active = index; pick(row.name); } },
            h("span", { class: "fm-name" }, row.title, h("small", {}, row.title === row.name ? "" : row.name), h("b", {}, sits)),
            h("span", {}, dollars(row.read)), h("span", {}, dollars(row.write)), h("span", {}, tokens(row.context)), h("span", {}, can));
        node.style.top = `${index * ROW}px`;
        return node;
    }
    function onKey(event) {
        const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
        if (by) at.active = Math.max(0, Math.min(at.active + by, found.length - 1));
        else if (event.key === "Enter" && found[at.active]) pick(found[at.active].name);
        else if (event.key === "Escape" && at.chair) choose("", at.chair);
        else if (event.key === "Escape") { input.value = at.query = ""; drawList(); }
        else return;
        event.preventDefault();
        const top = at.active * ROW, bottom = top + ROW - ROWS * ROW;
        if (by) list.scrollTop = at.top = Math.min(top, Math.max(at.top, bottom));
        drawRows();
    }
    function drawFoot() {
        const title = (name) => (name === "openrouter" ? "OpenRouter" : name);
        const told = model.get("_sources").flatMap(({ name, count, asked, problem }) => [
            count ? `${title(name)}: ${count} model${count === 1 ? "" : "s"}, list of ${ago(asked)}.` : "",
            problem ? `${title(name)} can’t be asked: ${problem.replace(/^models\S*: /, "")}` : ""]);
        const label = model.get("_asking") ? "Asking …" : "Refresh";
        foot.replaceChildren(h("span", {}, told.filter(Boolean).join(" ") || "No list of models yet."),
            h("button", { type: "button", "data-key": "refresh", "aria-label": `${label} the lists of models`, onclick: () => ask("refresh") }, label));
    }

    // --- saving and running -------------------------------------------------------------------------
    const tell = (text, tone = "done") => { said.className = `fm-said fm-${tone}`; said.replaceChildren(text); };
    function drawMessage() {
        const { text = "", tone = "plain", replace } = model.get("_message");
        tell(text, tone);
        if (replace) said.append(h("button", { type: "button", onclick: () => ask("save", { name: replace, replace: true }) }, "Replace it"));
    }

    // --- what Python says ---------------------------------------------------------------------------
    const onState = () => {
        const { panel, answered: [view, number] } = model.get("_state");
        if (waiting && !(view === id && number === waiting)) return;
        [draft, waiting] = [panel, 0];
        drawPanel();
        drawRows();
    };
    const onRows = keepFocus(() => {
        rows = model.get("_rows").map(asRow);
        byName = new Map(rows.map((row) => [row.name, row]));
        for (const draw of [drawFilters, drawList, drawPanel]) draw();
    });
    const heeded = {
        _state: onState, _rows: onRows, _named: () => drawPanel(), _sources: keepFocus(drawFoot), _asking: keepFocus(drawFoot),
        _message: drawMessage, prompt: () => { if (prompt !== root.getRootNode().activeElement) prompt.value = model.get("prompt"); },
    };
    for (const [trait, heed] of Object.entries(heeded)) { heed(); model.on(`change:${trait}`, heed); }
    ask("hello");
    const clock = setInterval(keepFocus(drawFoot), 60_000);
    return () => {
        clearInterval(clock);
        for (const [trait, heed] of Object.entries(heeded)) model.off(`change:${trait}`, heed);
    };
}

export default { render };
