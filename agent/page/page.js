"use strict";
// The page: everything it shows comes from /api and the event stream; nothing is kept here but what is on the screen.

const $ = (id) => document.getElementById(id);
const here = { project: "", thread: "", source: null, turn: null, seen: 0, told: new Map(), citations: new Map(), opener: null };

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

async function api(path, body, method) {
  const options = { headers: { Accept: "application/json" }, credentials: "same-origin", method: method || (body === undefined ? "GET" : "POST") };
  if (body !== undefined) { options.body = JSON.stringify(body); options.headers["Content-Type"] = "application/json"; }
  const response = await fetch(path, options);
  const found = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(found.error ? [found.error.message, found.error.hint].filter(Boolean).join(". ") : `the server said ${response.status}`);
  return found;
}
const within = (rest) => `/api/projects/${encodeURIComponent(here.project)}/${rest}`;

// -- lists at the side

async function showThreads() {
  const { threads } = await api(within(`threads?q=${encodeURIComponent($("search").value.trim())}`));
  $("threads").replaceChildren(...threads.map((thread) => make("li", {},
    make("button", { type: "button", "aria-current": thread.id === here.thread ? "true" : false, onclick: () => openThread(thread.id) },
      thread.title.slice(0, 90), make("small", { text: `${thread.status}, ${new Date(thread.changed * 1000).toLocaleString()}` })))));
  if (!threads.length) $("threads").append(make("li", { class: "small", text: $("search").value ? "none found" : "none yet" }));
}

async function showData() {
  const { data } = await api(within("data"));
  $("data").replaceChildren(...data.map((one) => make("li", {},
    make("button", { type: "button", onclick: () => showOne(one.name) }, one.name, make("small", { text: `${one.kind}. ${one.line}` })))));
  if (!data.length) $("data").append(make("li", { class: "small", text: "none yet: add a file" }));
}

async function showSaid() {
  const { feedback } = await api("/api/feedback");
  $("said").hidden = false;
  $("said").replaceChildren(...feedback.map((one) => make("li", {}, make("span", { text: `${one.verdict}: ${one.better || "run " + one.run}` }),
    make("button", { type: "button", text: "Delete", "aria-label": `Delete what you said of run ${one.run}`, onclick: async () => { await api(`/api/feedback/${one.id}`, undefined, "DELETE"); showSaid(); } }))));
  if (!feedback.length) $("said").append(make("li", { class: "small", text: "nothing yet" }));
}

// -- a conversation

function leave() {
  if (here.source) here.source.close();
  Object.assign(here, { source: null, turn: null, thread: "", seen: 0 });
  $("turns").replaceChildren();
  busy(false);
}

function openThread(thread) {
  leave();
  here.thread = thread;
  history.replaceState(null, "", `#${encodeURIComponent(here.project)}/${encodeURIComponent(thread)}`);
  side(false);
  follow();
  lists.threads();
}

// A conversation that is read again changes the lists many times in a moment: they are asked for once.
function soon(ask) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(() => ask().catch(() => {}), 150); };
}
const lists = { threads: soon(showThreads), data: soon(showData) };

function follow() {
  const source = new EventSource(within(`threads/${encodeURIComponent(here.thread)}/events?after=${here.seen}`));
  here.source = source;
  source.onerror = () => { // the browser tries again by itself, but not after an answer that was none
    if (source.readyState === 2 && here.source === source) setTimeout(() => { if (here.source === source) follow(); }, 1500);
  };
  for (const what of Object.keys(SHOW)) {
    source.addEventListener(what, (message) => {
      if (message.data === undefined || here.source !== source) return; // "error" is also the connection's
      const event = JSON.parse(message.data);
      if (event.seq <= here.seen) return;
      here.seen = event.seq;
      const turns = $("turns");
      const low = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 80;
      SHOW[what](event.data, event);
      if (low) turns.scrollTop = turns.scrollHeight;
    });
  }
}

function turn() {
  if (!here.turn) SHOW.asked({ request: "" });
  return here.turn;
}

const SHOW = {
  asked(data) {
    const steps = make("ol", { class: "steps", "aria-label": "Steps", hidden: true });
    const status = make("p", { class: "status busy", text: "Thinking" });
    const answer = make("div", { class: "answer", "aria-busy": "true" });
    if (here.turn && here.turn.box) here.turn.box.remove();
    const node = make("article", { class: "turn" }, make("p", { class: "said", text: data.request }), steps, status, answer);
    $("turns").append(node);
    here.turn = { node, steps, status, answer, run: "", begun: null, streamed: "", box: null, judged: null };
    busy(true);
  },
  queued(data) { turn().status.textContent = data.before ? `Waiting, ${data.before} before you` : "Waiting for a place"; },
  started() { // once more where a server has taken it up again
    const now = turn();
    now.streamed = now.answer.textContent = "";
    if (now.begun) { now.begun.remove(); now.begun = null; }
    now.status.textContent = "Thinking";
    now.status.hidden = false;
    now.status.classList.add("busy");
    busy(true);
  },
  decided(data) {
    const now = turn();
    if (now.box) { now.box.remove(); now.box = null; }
    now.status.hidden = false;
    now.status.textContent = data.approved ? "Approved" : "Rejected";
    busy(true);
  },
  plan(data) {
    turn().status.textContent = `Plan: ${data.calls.map((call) => call.tool + (call.seconds > 1 ? ` (about ${Math.round(call.seconds)} s)` : "")).join(", ")}`;
  },
  call(data) {
    const now = turn();
    now.steps.hidden = false;
    now.begun = make("li", {}, make("span", { class: "busy", text: data.tool }), make("progress", { hidden: true, "aria-label": `${data.tool}, done` }));
    now.steps.append(now.begun);
  },
  chunk(data) {
    const bar = turn().begun && turn().begun.querySelector("progress");
    if (bar) { bar.hidden = false; bar.max = data.of; bar.value = data.done; }
    turn().status.textContent = data.text;
  },
  step(data, event) {
    const now = turn();
    now.run = event.run;
    const row = stepRow(data, event.run), same = now.steps.querySelector(`[data-step="${event.run} ${data.id}"]`);
    row.dataset.step = `${event.run} ${data.id}`;
    if (same) same.remove();
    if (now.begun) now.begun.replaceWith(row); else now.steps.append(row);
    now.steps.hidden = false;
    now.begun = null;
    now.status.textContent = "Thinking";
    if (data.result && data.result.name) lists.data();
  },
  error(data) {
    const now = turn();
    const row = make("li", { class: "step-error", text: `${data.tool || ""}: ${data.message || data.text}` });
    if (now.begun) now.begun.replaceWith(row); else now.steps.append(row);
    now.begun = null;
    now.steps.hidden = false;
  },
  text(data) { turn().streamed += data.text; turn().answer.textContent = turn().streamed; },
  retract() { turn().streamed = ""; turn().answer.textContent = ""; },
  waits(data, event) { settle(data, event, "Waiting for you"); approval(data); },
  ended(data, event) { settle(data, event, data.status === "answered" ? "" : { question: "Moho asks", refused: "Not done", failed: "Failed" }[data.status] || data.status); },
  stopped(data, event) { settle(data, event, "Stopped"); },
  feedback(data, event) {
    const told = here.told.get(event.run);
    if (told) told.textContent = [`Kept: ${data.verdict}.`, ...data.told].join(" ");
  },
};

function settle(data, event, words) {
  const now = turn();
  now.run = event.run || data.run_id;
  now.status.textContent = words;
  now.status.classList.remove("busy");
  now.status.hidden = !words;
  if (now.begun) { now.begun.remove(); now.begun = null; }
  if (now.box) { now.box.remove(); now.box = null; }
  now.answer.setAttribute("aria-busy", "false");
  now.answer.innerHTML = event.html; // made by the server from Markdown, without raw HTML
  if (data.hint) now.answer.append(make("p", { class: "small", text: data.hint }));
  for (const citation of data.citations || []) here.citations.set(citation.key, citation);
  for (const key of now.answer.querySelectorAll(".cite")) key.addEventListener("click", () => showPassage(key.dataset.key));
  if (now.steps.children.length && now.steps.parentElement.tagName !== "DETAILS") now.steps.before(fold(now.steps));
  if (data.status === "question" && (data.candidates || []).length && !(data.approval && data.approval.tool)) {
    now.answer.append(make("div", { class: "acts", role: "group", "aria-label": "Possible answers" },
      ...data.candidates.map((one) => make("button", { type: "button", text: one, onclick: () => send(one) }))));
  }
  const told = now.node.querySelector("details.of-steps > summary");
  if (told) told.textContent = counted(now.steps);
  if (now.run && data.status !== "stopped" && !(data.approval && data.approval.tool)) {
    if (now.judged) now.judged.remove();
    now.judged = feedbackRow(now, data);
    now.node.append(now.judged);
  }
  busy(false);
  lists.threads();
}

const counted = (steps) => `${steps.children.length} ${steps.children.length === 1 ? "step" : "steps"}`;

function fold(steps) {
  const whole = make("details", { open: true, class: "of-steps" }, make("summary", { text: counted(steps) }));
  queueMicrotask(() => whole.append(steps));
  return whole;
}

function stepRow(step, run) {
  const values = Object.entries(step.arguments).filter(([, value]) => value !== null && value !== "");
  const facts = Object.entries((step.result && step.result.facts) || {});
  const inside = make("div", {},
    make("table", {}, make("caption", { class: "hidden", text: `Arguments of ${step.tool}` }), ...values.map(([key, value]) => make("tr", {}, make("th", { scope: "row", text: key.replaceAll("_", " ") }), make("td", { text: String(value) })))),
    facts.length ? make("table", {}, make("caption", { class: "hidden", text: `Results of ${step.tool}` }), ...facts.slice(0, 20).map(([key, fact]) => make("tr", {}, make("th", { scope: "row", text: fact.label || key }), make("td", { text: `${shown(fact.value)} ${fact.unit || ""}` })))) : null,
    ...((step.result && step.result.notes) || []).map((note) => make("p", { class: "small", text: note })));
  const row = make("li", {}, make("details", {}, make("summary", { text: `${step.id} ${step.tool}${step.result && step.result.name ? `: ${step.result.name}` : ""} (${step.seconds.toFixed(2)} s)` }), inside));
  (step.artifacts || []).forEach((artifact, number) => {
    if (artifact.kind !== "png") return;
    const address = within(`runs/${run}/steps/${step.id}/artifacts/${number}`);
    const name = step.result && step.result.name;
    row.append(make("figure", {}, make("img", { src: address, loading: "lazy", alt: `Figure of step ${step.id}, ${step.tool}${name ? `: ${name}` : ""}` }),
      make("figcaption", { class: "acts" }, make("a", { href: address, target: "_blank", rel: "noopener", text: "Full size" }),
        name ? make("button", { type: "button", text: "Explore", "aria-label": `Explore ${name}`, onclick: () => showOne(name) }) : null)));
  });
  return row;
}

function shown(value) {
  if (Array.isArray(value)) return value.length > 8 ? `${value.slice(0, 8).map(shown).join(", ")} ...` : value.map(shown).join(", ");
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

function approval(data) {
  const now = turn(), wanted = data.approval, fields = [];
  for (const [key, value] of Object.entries(wanted.arguments)) {
    const field = make("input", { type: "text", name: key, value: value == null ? "" : String(value), readonly: true });
    field.dataset.before = field.value;
    fields.push(make("label", { text: key.replaceAll("_", " ") }, field));
  }
  const box = make("form", { class: "approve", "aria-label": `Approval of ${wanted.tool}` }, make("h3", { text: wanted.tool }), ...fields);
  const answer = async (approved) => {
    const edited = {};
    for (const field of box.querySelectorAll("input")) if (field.value !== field.dataset.before) edited[field.name] = field.value;
    try {
      await api(within(`threads/${encodeURIComponent(here.thread)}/decide`), { approved, id: wanted.id, fingerprint: wanted.fingerprint, ...(approved && Object.keys(edited).length ? { arguments: edited } : {}) });
    } catch (error) { box.append(make("p", { class: "error", role: "alert", text: error.message })); }
  };
  box.append(make("div", { class: "acts" },
    make("button", { type: "button", class: "main", text: "Approve", onclick: () => answer(true) }),
    make("button", { type: "button", text: "Edit", onclick: () => { for (const field of box.querySelectorAll("input")) field.readOnly = false; box.querySelector("input").focus(); } }),
    make("button", { type: "button", text: "Reject", onclick: () => answer(false) })));
  now.box = box;
  now.node.append(box);
}

function feedbackRow(now, data) {
  const run = now.run, told = make("span", { class: "small", role: "status" });
  here.told.set(run, told);
  const say = async (verdict, better) => {
    try { await api(within(`runs/${run}/feedback`), { verdict, better }); } catch (error) { told.textContent = error.message; }
  };
  const field = make("textarea", { rows: 2, placeholder: "What would have been right: in words, or the call", "aria-label": "What would have been right" });
  const form = make("form", { hidden: true, onsubmit: (event) => { event.preventDefault(); say("bad", field.value.trim()); form.hidden = true; } }, field, make("button", { type: "submit", text: "Send correction" }));
  const calls = (data.steps || []).filter((step) => !step.error);
  const fix = calls.length ? make("button", { type: "button", text: "Correct the arguments", onclick: () => {
    form.hidden = false;
    const last = calls[calls.length - 1];
    field.value = `${last.tool}(${Object.entries(last.arguments).filter(([, value]) => value !== null).map(([key, value]) => `${key}="${value}"`).join(", ")})`;
    field.focus();
  } }) : null;
  return make("div", {}, make("div", { class: "acts", role: "group", "aria-label": "This answer" },
    make("button", { type: "button", text: "Good", onclick: () => say("good", "") }),
    make("button", { type: "button", text: "Bad", onclick: () => { form.hidden = false; say("bad", ""); field.focus(); } }),
    fix, make("button", { type: "button", text: "Take back", onclick: () => say("withdrawn", "") }),
    ...["py", "ipynb", "html"].map((form) => make("a", { href: within(`runs/${run}/export?format=${form}`), download: true, text: `Export .${form}` })), told), form);
}

async function send(words) {
  if (!words.trim()) return;
  busy(true);
  try {
    const fresh = !here.thread;
    const { thread } = await api(within("threads"), { request: words, thread: here.thread });
    $("words").value = "";
    if (fresh) openThread(thread);
  } catch (error) {
    $("turns").append(make("p", { class: "error", role: "alert", text: error.message }));
    busy(false);
  }
}

function busy(is) {
  $("send").disabled = is;
  $("stop").hidden = !is;
}

// -- the panel

function panel(title, ...children) {
  if ($("panel").hidden) here.opener = document.activeElement;
  $("panel-title").textContent = title;
  $("panel-body").replaceChildren(...children);
  $("panel").hidden = false;
  $("close-panel").focus();
}

function closePanel() {
  if ($("panel").hidden) return;
  $("panel").hidden = true;
  (here.opener && here.opener.isConnected ? here.opener : $("words")).focus();
}

async function showOne(name) {
  side(false);
  const body = make("div", {}, make("p", { class: "busy small", text: "Reading" }));
  panel(name, body);
  try {
    const one = await api(within(`data/${encodeURIComponent(name)}`));
    const facts = make("table", {}, make("caption", { class: "hidden", text: "Facts" }), ...Object.entries(one.facts).slice(0, 40).map(([key, fact]) => make("tr", {}, make("th", { scope: "row", text: fact.label || key }), make("td", { text: `${shown(fact.value)} ${fact.unit || ""}` }))));
    const clip = make("input", { type: "range", min: 80, max: 100, step: 0.5, value: 99, id: "clip" });
    const flip = make("button", { type: "button", text: "Flip colours" });
    const plot = make("div", { id: "plot", role: "group", "aria-label": `Interactive figure of ${name}` });
    const zooms = [["Zoom in", 0.5], ["Zoom out", 2], ["Whole", 0]].map(([text, by]) => make("button", { type: "button", text, onclick: () => zoom(plot, by) }));
    const line = one.kind === "Volume" ? make("input", { type: "number", "aria-label": "Inline", min: 0 }) : null;
    if (line) line.addEventListener("change", () => draw());
    body.replaceChildren(make("div", { class: "acts" }, make("label", { for: "clip", text: "Clip, percentile" }), clip, flip, ...zooms, line), plot, facts, ...one.notes.map((note) => make("p", { class: "small", text: note })));
    const draw = async () => {
      const wide = Math.round(plot.clientWidth * (window.devicePixelRatio || 1)), high = Math.round(plot.clientHeight * (window.devicePixelRatio || 1));
      const figure = await api(within(`plot/${encodeURIComponent(name)}?width=${wide}&height=${high}&clip=${clip.value}${line && line.value ? `&inline=${line.value}` : ""}`));
      await plotly();
      await window.Plotly.react(plot, figure.data, { ...figure.layout, autosize: true }, { responsive: true, displaylogo: false });
    };
    clip.addEventListener("change", draw);
    flip.addEventListener("click", () => window.Plotly && window.Plotly.restyle(plot, { reversescale: !(plot.data[0].reversescale) }, [0]));
    await draw().catch((error) => plot.replaceWith(make("p", { class: "small", text: error.message })));
  } catch (error) { body.replaceChildren(make("p", { class: "error", role: "alert", text: error.message })); }
}

function zoom(plot, by) {
  if (!window.Plotly || !plot.layout) return;
  const change = {};
  for (const key of Object.keys(plot.layout).filter((one) => /^[xy]axis/.test(one))) {
    const range = plot.layout[key].range;
    if (!by) { change[`${key}.autorange`] = plot.layout[key].autorange === "reversed" || (range && range[0] > range[1]) ? "reversed" : true; continue; }
    if (!range) continue;
    const middle = (Number(range[0]) + Number(range[1])) / 2, half = (Number(range[1]) - Number(range[0])) / 2 * by;
    change[`${key}.range`] = [middle - half, middle + half];
  }
  window.Plotly.relayout(plot, change);
}

let loading = null;
function plotly() { // 4 MB, only when a figure is asked for
  loading = loading || new Promise((done, failed) => {
    document.head.append(make("script", { src: "/static/plotly.min.js", onload: done, onerror: () => failed(new Error("plotly could not be loaded")) }));
  });
  return loading;
}

function showPassage(key) {
  const one = here.citations.get(key);
  if (one) panel(one.title || key, make("blockquote", {}, make("p", { text: one.quote })), make("p", { class: "small", text: [one.where, one.source].filter(Boolean).join(", ") }));
}

// -- adding data

async function listFiles(path) {
  const { files } = await api(`/api/files?path=${encodeURIComponent(path)}`);
  $("files").replaceChildren(...files.map((file) => make("li", {}, make("button", { type: "button", text: file.name + (file.folder ? "/" : ""), onclick: () => { $("path").value = file.path; if (file.folder) listFiles(file.path).catch(tellAdding); } }))));
}
const tellAdding = (error) => { $("adding-error").textContent = error.message || ""; };

async function upload(file) {
  const { id } = await api(`/api/uploads/${encodeURIComponent(here.project)}`, { name: file.name, size: file.size });
  const address = `/api/uploads/${encodeURIComponent(here.project)}/${id}`, piece = 8 * 2 ** 20;
  let offset = 0, failures = 0;
  $("sent").hidden = false;
  while (offset < file.size) {
    try {
      const response = await fetch(address, { method: "PATCH", body: file.slice(offset, offset + piece), headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) } });
      if (!response.ok && response.status !== 409) throw new Error((await response.json()).error.message);
      offset = (await api(address)).offset;
      failures = 0;
    } catch (error) {
      if (++failures > 5) throw error;
      await new Promise((done) => setTimeout(done, 500 * failures));
      offset = (await api(address)).offset; // goes on from where the server is
    }
    $("sent").value = offset / file.size;
  }
  $("sent").hidden = true;
  return api(within("data"), { upload: id });
}

// -- the frame

function side(open) {
  $("side").classList.toggle("open", open);
  $("open-side").setAttribute("aria-expanded", String(open));
}

function theme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", String(dark));
}

function tip(target) {
  const box = $("tip");
  if (!target) { box.hidden = true; return; }
  const place = target.getBoundingClientRect();
  box.textContent = `from ${target.dataset.source}`;
  box.hidden = false;
  box.style.left = `${Math.min(place.left, window.innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${place.bottom + 6}px`;
}

async function enter(project, thread) {
  leave();
  here.project = project;
  $("project").value = project;
  await Promise.all([showThreads(), showData()]);
  if (thread) openThread(thread); else history.replaceState(null, "", `#${encodeURIComponent(project)}`);
}

function tellLoad(words) { if ($("load").textContent !== words) $("load").textContent = words; }

async function load() {
  try {
    const state = await api("/api/state");
    tellLoad(`${state.model}${state.running.length ? `, ${state.running.length} at work` : ""}${state.waiting ? `, ${state.waiting} waiting` : ""}`);
    return state;
  } catch (error) { tellLoad("The server does not answer; trying again"); return null; }
}

async function begin() {
  const kept = localStorage.getItem("theme");
  theme(kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  $("theme").addEventListener("click", () => { const dark = document.documentElement.dataset.theme !== "dark"; theme(dark); localStorage.setItem("theme", dark ? "dark" : "light"); });
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); if (!$("send").disabled) send($("words").value); });
  $("words").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("ask").requestSubmit(); } });
  $("stop").addEventListener("click", () => api(within(`threads/${encodeURIComponent(here.thread)}/stop`), {}).catch(() => busy(false)));
  $("new").addEventListener("click", () => { leave(); history.replaceState(null, "", `#${encodeURIComponent(here.project)}`); side(false); $("words").focus(); showThreads(); });
  let typing = 0;
  $("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(showThreads, 200); });
  $("project").addEventListener("change", () => enter($("project").value, ""));
  $("close-panel").addEventListener("click", closePanel);
  $("see-said").addEventListener("click", () => { if ($("said").hidden) showSaid(); else $("said").hidden = true; });
  $("open-side").addEventListener("click", () => side(!$("side").classList.contains("open")));
  $("add").addEventListener("click", () => { tellAdding({}); $("adding").showModal(); listFiles("").catch(tellAdding); });
  $("by-path").addEventListener("submit", async (event) => {
    event.preventDefault();
    tellAdding({});
    try { const added = await api(within("data"), { path: $("path").value }); await showData(); $("adding").close(); showOne(added.name); } catch (error) { tellAdding(error); }
  });
  $("upload").addEventListener("change", async () => {
    tellAdding({});
    try { for (const file of $("upload").files) await upload(file); await showData(); $("adding").close(); } catch (error) { tellAdding(error); }
    $("upload").value = "";
  });
  for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, (event) => tip(event.target.closest && event.target.closest(".number")));
  document.addEventListener("focusout", () => tip(null));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { tip(null); if (!$("adding").open) closePanel(); side(false); } });
  const state = await load();
  if (!state) { setTimeout(() => location.reload(), 1500); return; }
  $("project").replaceChildren(...state.projects.map((name) => make("option", { value: name, text: name })));
  let project = "", thread = "";
  try { [project, thread] = location.hash.slice(1).split("/").map(decodeURIComponent); } catch (error) { /* an address that was typed wrong */ }
  await enter(state.projects.includes(project) ? project : state.projects[0], thread || "");
  setInterval(load, 5000);
}

begin();
