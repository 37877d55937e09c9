// Puts what view.js says on the screen. Everything from outside becomes text, never markup.
import * as view from "./view.js";

const find = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** What was heard last. `at`: performance.now() of the last news. */
const heard = { status: null, procedure: [], phaseSeconds: null, poolers: [], samples: [], history: [], plan: null, at: 0 };
const silence = () => (performance.now() - heard.at) / 1000;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  return filled(made, attributes, children);
}

function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  for (const child of children) if (child !== null && child !== "") made.append(child);
  return made;
}

const drawn = new Map();

/** Draws only what has changed, so that text can be selected and a screen reader is not told the same again. */
function draw(id, input, make) {
  const key = JSON.stringify(input);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  find(id).replaceChildren(...[make(input)].flat().filter((child) => child !== null && child !== ""));
}

// ---- What is shown ----

function render() {
  const { status } = heard;
  const quiet = silence();
  const said = view.judge(status, Math.floor(quiet));
  const isOld = status !== null && quiet > view.OLD_AFTER;
  find("now").dataset.tone = said.tone;
  draw("glyph", view.glyphs[said.tone], (glyph) => glyph);
  draw("headline", said.headline, (text) => text);
  draw("explained", said.explained, (text) => text);
  const link = status === null ? "connecting" : isOld ? `no news for ${view.age(Math.floor(quiet))}` : "live";
  find("link").dataset.tone = status === null ? "unknown" : isOld ? "bad" : "ok";
  draw("link", link, (text) => text);
  for (const id of ["answers", "tree", "procedure", "throughput", "poolers"]) find(id).classList.toggle("old", isOld);
  document.title = `${view.glyphs[said.tone]} ${status?.cluster ?? "pgha"}: ${said.headline}`;
  if (status === null) return;
  draw("cluster", status.cluster ?? "pgha", (text) => text);
  draw("term", status.rule ? `term ${status.term}, rule ${status.rule}` : "", (text) => text);
  draw("answers", view.answers(status, heard.plan, heard.phaseSeconds), (list) => list.map(answer));
  drawProcedure();
  draw("tree", [status.leader, status.nodes, heard.samples.at(-1)?.unix_ms], () => tree(status));
  draw("throughput", heard.poolers.length > 0 ? heard.samples.at(-1)?.unix_ms ?? 0 : null, (at) => (at === null ? "" : plot("transactions", view.transactionSeries(heard.samples), (value) => `${view.rate(value)}/s`)));
  draw("poolers", view.poolerRows(heard.poolers), poolers);
  draw("history", heard.history, (entries) => entries.map(entry));
  draw("node", status.nodes.map((node) => node.name), (names) => [element("option", { value: "" }, "the best one"), ...names.map((name) => element("option", { value: name }, name))]);
}

const answer = ({ question, tone, answer, detail }) =>
  element("div", { "data-tone": tone }, element("dt", {}, question), element("dd", {}, answer), detail ? element("dd", {}, detail) : null);

function drawProcedure() {
  const steps = view.steps(heard.procedure);
  find("procedure").hidden = steps.length === 0;
  const runs = steps.some((step) => step.current);
  draw("steps-title", runs ? "What happens now" : "The last procedure", (text) => text);
  draw("steps", steps, (list) => list.map((step) => element("li", { "data-tone": step.current ? null : "ok", "aria-current": step.current ? "step" : null }, step.current ? "" : "✓ ", step.text, step.took ? element("small", {}, step.took) : null)));
  draw("waiting", (runs && heard.status.waiting_for) || "", (text) => text);
}

function tree(status) {
  const leader = status.nodes.find((node) => node.name === status.leader);
  const others = status.nodes.filter((node) => node !== leader);
  if (status.nodes.length === 0) return element("p", { class: "faint" }, "No nodes yet.");
  const children = element("ul", {}, ...others.map((node) => element("li", { class: "child" }, wire(node), card(node, false))));
  return element("ul", {}, element("li", {}, leader ? card(leader, true) : element("p", { class: "faint" }, "Nobody leads."), children));
}

function wire(node) {
  const streams = node.state === "streaming";
  const lag = !streams ? "no stream" : node.lag_bytes === null ? "lag unknown" : node.lag_bytes === 0 ? "in step" : view.bytes(node.lag_bytes);
  return element("div", { class: "wire", "data-tone": view.tone(node), "data-cut": !streams }, element("span", {}, lag));
}

function card(node, leads) {
  const seen = node.evidence_age_ms === null ? "never seen" : node.evidence_age_ms < 3000 ? "" : `seen ${view.age(node.evidence_age_ms / 1000)} ago`;
  const late = node.lag_seconds >= 1 ? `replays ${view.age(node.lag_seconds)} late` : "";
  return element("article", { class: "node", "data-tone": view.tone(node) },
    element("div", {}, element("h3", {}, node.name), element("p", { class: "faint" }, view.duty(node))),
    leads ? plot("WAL written", view.rateSeries(heard.samples), (value) => `${view.bytes(value)}/s`) : plot("lag", view.lagSeries(heard.samples, node.name), view.bytes),
    element("div", {}, element("p", { class: "state" }, [node.state, late, seen].filter(Boolean).join(", ")),
      element("p", { class: "where" }, `${node.host}:${node.port}`, element("br"), node.lsn ? `${node.lsn}, timeline ${node.timeline ?? "?"}` : "position unknown")),
    node.problems.length > 0 ? element("ul", { class: "problems" }, ...node.problems.map((problem) => element("li", {}, problem))) : null);
}

function plot(what, values, unit) {
  const { line, area, top, last } = view.spark(values, 300, 40);
  const said = top === null ? `${what}: nothing known yet` : `${what}, last 15 min: at most ${unit(top)}, now ${last === null ? "unknown" : unit(last)}`;
  return element("div", {},
    shape("svg", { class: "spark", viewBox: "0 0 300 40", preserveAspectRatio: "none", role: "img", "aria-label": said },
      shape("line", { class: "base", x1: 0, x2: 300, y1: 40, y2: 40 }), shape("path", { class: "area", d: area }), shape("path", { class: "line", d: line })),
    element("p", { class: "faint", "aria-hidden": "true" }, said));
}

function poolers(rows) {
  if (rows.length === 0) return element("p", { class: "faint" }, "No pooler follows this controller.");
  const titles = ["Pooler", "Transactions/s", "Statements/s", "Errors/s", "Clients", "Waiting", "Longest wait", "Servers", ""];
  return element("table", { class: "figures" },
    element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows.map(({ name, tone, cells, note }) => element("tr", { "data-tone": tone },
      element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell)), element("td", { class: "note" }, note)))));
}

function entry({ unix_us: at, kind, term, leader, duration_ms: ms, detail }) {
  const date = new Date(at / 1000);
  const bad = ["failover", "forced"].includes(kind);
  return element("tr", { "data-tone": bad ? "warn" : null },
    element("td", {}, element("time", { datetime: date.toISOString() }, view.clock(date))),
    ...[kind, String(term), leader ?? "–", view.took(ms), detail].map((text) => element("td", {}, text)));
}

// ---- What is heard ----

function listen() {
  const source = new EventSource("/v1/watch");
  const on = (name, take) => source.addEventListener(name, (event) => { take(JSON.parse(event.data)); heard.at = performance.now(); render(); });
  on("status", ({ status, procedure, phase_ms: ms, poolers }) =>
    Object.assign(heard, { status, procedure, poolers, phaseSeconds: ms / 1000 }));
  on("samples", (samples) => { heard.samples = samples; });
  on("sample", (sample) => { heard.samples = [...heard.samples, sample].slice(-view.SAMPLES); });
  on("history", ({ entries }) => { heard.history = entries; });
  on("plan", (plan) => { heard.plan = plan; });
  // The browser connects again by itself, except where it was answered with an error.
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000); });
}

// ---- What is done ----

const actions = {
  switchover: { title: "Switch over", path: "/v1/switchover", body: (node) => (node ? { target: node } : {}), text: (node) => [`${node || "The best standby"} will lead. Transactions that run are waited for; new ones are held at the poolers meanwhile.`] },
  failover: { title: "Fail over", path: "/v1/failover", body: (node) => (node ? { target: node } : {}), text: dryRun },
  rejoin: { title: "Rebuild the node", path: "/v1/rejoin", needs: "Choose the node that is to be rebuilt.", body: (node) => ({ node }), text: (node) => [`${node} will be stopped, rewound or copied anew, and will follow the leader. Commits that only it has are saved beside its data.`] },
  pause: { title: "Pause", path: "/v1/pause", body: () => ({}), text: () => ["Nothing will replace a leader that is lost until somebody resumes."] },
  resume: { title: "Resume", path: "/v1/resume", body: () => ({}), text: () => ["A leader that is lost is replaced by itself again, from this moment on."] },
};

async function dryRun(node) {
  const reply = await fetch(`/v1/failover/plan${node ? `?target=${encodeURIComponent(node)}` : ""}`);
  const plan = await reply.json();
  if (!reply.ok) throw refusal(plan);
  const lines = [plan.winner ? `${plan.winner} would lead term ${plan.term} after ${plan.leader ?? "nobody"}, in about ${view.took(plan.expected_ms)}.` : "Nobody would be promoted."];
  if (plan.obstacle) lines.push(`It would wait: ${plan.obstacle}`);
  lines.push(plan.bytes_at_risk === 0 ? "No acknowledged commit is at risk." : `At risk: ${view.bytes(plan.bytes_at_risk)} of WAL.`);
  return [...lines, ...plan.candidates.filter((one) => one.name !== plan.winner).map((one) => `${one.name}: ${one.reason ?? "would not be chosen"}`)];
}

const refusal = ({ code, message, hint }) => new Error(code === "unauthorized" ? "The token is missing or wrong." : [message, hint].filter(Boolean).join(". "));

function say(tone, text) {
  find("answer").dataset.tone = tone;
  find("answer").textContent = text;
}

async function act(name) {
  const action = actions[name], node = find("node").value;
  if (action.needs && !node) return say("warn", action.needs);
  try {
    if (!await confirmed(action.title, await action.text(node))) return;
    const headers = { authorization: `Bearer ${find("token").value.trim()}`, "content-type": "application/json" };
    const reply = await fetch(action.path, { method: "POST", headers, body: JSON.stringify(action.body(node)) });
    const told = await reply.json();
    if (!reply.ok) throw refusal(told);
    say("ok", `${told.message} (term ${told.term})`);
  } catch (error) {
    say("bad", error.message);
  }
}

function confirmed(title, lines) {
  const dialog = find("confirm");
  find("confirm-title").textContent = `${title}?`;
  find("confirm-text").replaceChildren(...lines.map((line) => element("p", {}, line)));
  return new Promise((resolve) => {
    const end = (value) => () => { dialog.close(value ? "yes" : ""); };
    find("confirm-yes").onclick = end(true);
    find("confirm-no").onclick = end(false);
    dialog.onclose = () => { const isYes = dialog.returnValue === "yes"; dialog.returnValue = ""; resolve(isYes); };
    dialog.showModal();
  });
}

find("form").addEventListener("submit", (event) => event.preventDefault());
for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", () => act(button.dataset.action));
listen();
setInterval(render, 1000);
render();
