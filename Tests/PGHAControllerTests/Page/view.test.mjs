// What the status page says, run by PageViewTests with node.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const source = readFileSync(process.argv[2], "utf8");
const view = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const node = (name, state, more = {}) => ({
  name, state, role: state === "leading" ? "primary" : "standby", sync: state === "leading" ? "leader" : "quorum", problems: [],
  host: "127.0.0.1", port: 5432, lag_bytes: 0, lag_seconds: 0, evidence_age_ms: 80, timeline: 1, lsn: "0/1", ...more,
});
const sound = {
  cluster: "demo", term: 3, rule: "3.1", leader: "a", phase: "steady", verdict: "healthy", waiting_for: null, paused: false,
  at_risk: false, at_risk_reason: null, durability: { mode: "quorum", copies: 2, effective_copies: 2 },
  controller: { leading: true, store: "sqlite" }, nodes: [node("a", "leading"), node("b", "streaming"), node("c", "streaming")],
};
const plan = { leader: "a", term: 4, winner: "b", obstacle: null, bytes_at_risk: 0, expected_ms: 113, candidates: [] };
const judge = (change, silence = 0) => view.judge({ ...sound, ...change }, silence);
const says = (said, tone, headline) => assert.deepEqual([said.tone, said.headline], [tone, headline]);

says(view.judge(null, 0), "unknown", "Connecting to the controller");
says(judge({}), "ok", "Writable");
// What is old is never shown as sound.
says(judge({}, 5), "unknown", "No news from the controller");
says(judge({ controller: { leading: false, store: "sqlite" } }), "bad", "This controller does not decide");
says(judge({ cluster: null, phase: "none", leader: null, nodes: [] }), "unknown", "There is no cluster yet");
says(judge({ cluster: null, phase: "bootstrap", leader: null, nodes: [] }), "warn", "The cluster is being made");
says(judge({ phase: "halted", waiting_for: "the store is older" }), "bad", "Halted");
says(judge({ leader: null }), "bad", "Nobody leads");
for (const phase of ["preparing", "sealing", "promoting"]) says(judge({ phase }), "bad", "The leader is being changed");
says(judge({ phase: "changing_rule" }), "ok", "Writable");
const gone = { verdict: "replace: its agent saw the postmaster exit" };
says(judge(gone), "bad", "a does not lead");
assert.match(judge({ ...gone, paused: true }).explained, /^Failover is paused: .*Its agent saw the postmaster exit\.$/);
says(judge({ nodes: [node("a", "unreachable"), ...sound.nodes.slice(1)] }), "bad", "a does not lead");
says(judge({ nodes: [] }), "bad", "a does not lead");
says(judge({ nodes: [sound.nodes[0], node("b", "detached"), node("c", "detached")] }), "bad", "Commits wait");
says(judge({ verdict: "suspect: no answer for 0.4 s" }), "warn", "a may be in trouble");
says(judge({ at_risk: true, at_risk_reason: "1 of 2 standbys stream" }), "warn", "Writable, but at risk");
says(judge({ paused: true }), "warn", "Writable, but failover is paused");
const ill = judge({ nodes: [sound.nodes[0], sound.nodes[1], node("c", "unreachable")] });
assert.deepEqual([ill.tone, ill.explained], ["warn", "c does not stream (unreachable)."]);
const back = judge({ nodes: [sound.nodes[0], sound.nodes[1], node("c", "starting")] });
assert.deepEqual([back.tone, back.explained], ["warn", "c does not stream (starting)."]);
assert.equal(judge({ nodes: [sound.nodes[0], node("b", "streaming", { problems: ["replay is paused"] })] }).explained, "b: replay is paused.");
says(judge({ nodes: [node("a", "taking over"), ...sound.nodes.slice(1)] }), "bad", "a is taking over");

const fails = (change, given = plan) => view.answers({ ...sound, ...change }, given, 5).find((one) => one.question.startsWith("If "));
assert.deepEqual(fails({}), { question: "If a fails now", tone: "ok", answer: "b takes over", detail: "about 113 ms, nothing is lost" });
assert.equal(fails({}, { ...plan, winner: null, obstacle: "no standby may be promoted" }).tone, "bad");
assert.equal(fails({}, { ...plan, bytes_at_risk: 2048 }).detail, "about 113 ms, at risk: 2 KiB");
assert.equal(fails({}, { ...plan, bytes_at_risk: null }).tone, "warn");
assert.equal(fails({ paused: true }).tone, "warn");
assert.equal(fails({ at_risk: true, at_risk_reason: "x" }).tone, "bad");
// A forecast for another leader is no forecast.
assert.equal(fails({ leader: "b" }).answer, "unknown");
assert.equal(fails({}, null).answer, "unknown");
const waiting = view.answers({ ...sound, waiting_for: "c has not answered" }, plan, 5).at(-1);
assert.deepEqual([waiting.tone, waiting.detail], ["warn", "c has not answered"]);

assert.deepEqual(view.steps([{ phase: "sealing", ms: 21 }, { phase: "changing_rule", ms: null }]), [
  { text: "sealing", took: "21 ms", current: false }, { text: "changing rule", took: "", current: true }]);
assert.deepEqual([0, 1023, 1024, 1536, 16 << 20, null].map(view.bytes), ["0 B", "1023 B", "1 KiB", "1.5 KiB", "16 MiB", "unknown"]);
assert.deepEqual([0, 9.96, 12.3, 180, 7200, 200000].map(view.age), ["0.0 s", "10.0 s", "12 s", "3 min", "2 h", "2 d"]);
assert.equal(view.clock(new Date(2026, 0, 31, 2, 3, 4)), "2026-01-31 02:03:04");
assert.deepEqual([null, 80, 2410, 75000].map(view.took), ["", "80 ms", "2.41 s", "75 s"]);

const figures = {
  term: 3, has_leader: true, clients: 12, waiting: 0, longest_wait_ms: 0, servers: 5, servers_active: 2, transactions_per_second: 1234.5,
  statements_per_second: 56789, errors_per_second: 0.04,
};
const row = (more, age_ms = 900) => view.poolerRows([{ name: "p", age_ms, figures: { ...figures, ...more } }])[0];
assert.deepEqual(row({}), { name: "p", tone: "ok", cells: ["1235", "56.8 k", "0", "12", "0", "", "2 of 5 busy"], note: "" });
assert.deepEqual([row({ waiting: 3, longest_wait_ms: 2500 }).tone, row({ waiting: 3, longest_wait_ms: 2500 }).cells[5]], ["warn", "2.50 s"]);
assert.deepEqual([row({ has_leader: false }).tone, row({}, 20000).note], ["bad", "as of 20 s ago"]);
assert.equal(view.poolerRows([{ name: "p", age_ms: null, figures: null }])[0].note, "has said nothing yet");
assert.deepEqual(view.transactionSeries([{ transactions: null }, { transactions: 7 }]).slice(-3), [null, null, 7]);

const sample = (seconds, leader, wal, lag = {}) => ({ unix_ms: seconds * 1000, leader, wal, lag });
const samples = [sample(0, "a", 1000), sample(5, "a", 6000, { b: 7 }), sample(10, null, null), sample(15, "b", 100), sample(20, "b", 100)];
// Plots are 15 minutes wide, however long the controller has run.
assert.deepEqual([view.rateSeries(samples).length, view.rateSeries(samples).slice(-5)], [180, [null, 1000, null, null, 0]]);
assert.deepEqual([view.lagSeries(samples, "b").length, view.lagSeries(samples, "b").slice(-5)], [180, [null, 7, null, null, null]]);
assert.deepEqual(view.spark([], 300, 40), { line: "", area: "", top: null, last: null });
const drawn = view.spark([0, 10, null, 5], 300, 40);
assert.deepEqual([drawn.top, drawn.last], [10, 5]);
assert.equal(drawn.line, "M0 40L100 2M300 21");
assert.equal(drawn.area, "M0 40L100 2L100 40L0 40ZM300 21L300 40L300 40Z");
console.log("as it should be");
