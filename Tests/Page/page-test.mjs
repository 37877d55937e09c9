// Looks at the status page in a browser while a leader is killed: make page-test.
//
//   node --experimental-websocket page-test.mjs PGHA FOLDER    (pictures go to FOLDER)
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [pgha, folder] = process.argv.slice(2);
const BASE = 27432, CONTROLLER = `http://127.0.0.1:${BASE + 3000}`;
// Seconds; generous, for machines that do other things too.
const PATIENCE = 120;
const children = [];
let home = null, demoFolder = null;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function eventually(what, look) {
  const deadline = Date.now() + PATIENCE * 1000;
  let last;
  while (Date.now() < deadline) {
    try {
      const found = await look();
      if (found) return found;
      last = found;
    } catch (error) { last = error; }
    await pause(100);
  }
  throw new Error(`waited ${PATIENCE} s for ${what}: ${last}`);
}

function start(command, args, environment = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } });
  child.output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { child.output += data; });
  children.push(child);
  return child;
}

function ended(child) {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => child.once("exit", resolve));
}

/** The browser, by its DevTools protocol. */
class Browser {
  static async open() {
    const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
    if (!program) throw new Error("no browser: apt-get install chromium");
    home = mkdtempSync(join(tmpdir(), "pgha-page-"));
    const child = start(program, ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
      "--disable-background-networking", "--remote-debugging-port=0", `--user-data-dir=${home}`, "about:blank"]);
    const address = await eventually("the browser", () => child.output.match(/ws:\/\/\S+/)?.[0]);
    const pages = await (await fetch(`http://${new URL(address).host}/json`)).json();
    const browser = new Browser();
    browser.calls = new Map();
    browser.events = [];
    browser.number = 0;
    browser.socket = new WebSocket(pages.find((page) => page.type === "page").webSocketDebuggerUrl);
    browser.socket.onmessage = ({ data }) => browser.heard(JSON.parse(data));
    await new Promise((resolve, reject) => { browser.socket.onopen = resolve; browser.socket.onerror = reject; });
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await browser.call(`${domain}.enable`);
    return browser;
  }

  heard(message) {
    if (message.id) {
      const { resolve, reject } = this.calls.get(message.id);
      this.calls.delete(message.id);
      return message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    }
    this.events.push(message);
    this.answer?.(message);
  }

  call(method, params = {}) {
    const id = ++this.number;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.calls.set(id, { resolve, reject }));
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  text(selector) { return this.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`); }

  async picture(name, width = 1100, scheme = "light") {
    await this.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.call("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 });
    await pause(300);
    const { data } = await this.call("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(join(folder, `${name}.png`), Buffer.from(data, "base64"));
    const overflow = await this.evaluate("document.documentElement.scrollWidth - innerWidth");
    assert.ok(overflow <= 0, `${name}: ${overflow} pixels wider than the window`);
  }

  /** What the console has to complain about, violations of the policy included. */
  complaints() {
    return this.events.filter(({ method, params }) => method === "Runtime.exceptionThrown"
      || (method === "Log.entryAdded" && params.entry.level === "error" && params.entry.source !== "network")).map((event) => JSON.stringify(event.params));
  }

  addresses() { return this.events.filter(({ method }) => method === "Network.requestWillBeSent").map(({ params }) => params.request.url); }
}

const status = async () => (await fetch(`${CONTROLLER}/v1/status`)).json();
const say = (text) => console.log(text);

/** A client that commits some fifty times a second. */
function makeTraffic() {
  const script = join(folder, "traffic.sql");
  writeFileSync(script, "CREATE TABLE IF NOT EXISTS traffic (at timestamptz);\nINSERT INTO traffic VALUES (now())\n\\watch 0.02\n");
  start("psql", ["--no-psqlrc", "--quiet", "--file", script, `host=127.0.0.1 port=${BASE + 1000} user=demo dbname=demo`],
    { PGPASSFILE: join(demoFolder, "pgpass") });
}

async function watchAFailover(browser) {
  await browser.call("Page.navigate", { url: `${CONTROLLER}/` });
  await eventually("the page to say that all is well", async () => (await browser.text("#headline")) === "Writable" && (await browser.evaluate("document.getElementById('now').dataset.tone")) === "ok");
  const before = await status();
  assert.equal(await browser.text("#cluster"), before.cluster);
  assert.deepEqual((await browser.evaluate("[...document.querySelectorAll('.node h3')].map((one) => one.textContent)")).sort(), before.nodes.map((node) => node.name).sort());
  await eventually("the traffic in what the pooler says of itself", async () => Number(await browser.text("#poolers tbody td")) > 1);
  // Long enough for plots.
  await pause(12000);
  await browser.picture("steady");
  await browser.picture("steady-dark", 1100, "dark");
  await browser.picture("steady-phone", 390);
  say("ok: the page shows a sound cluster, in light and dark, and on a phone");

  await browser.evaluate("window.headlines = []; new MutationObserver(() => headlines.push(document.getElementById('headline').textContent)).observe(document.getElementById('headline'), { childList: true })");
  const old = before.nodes.find((node) => node.name === before.leader);
  process.kill(old.postmaster_pid, "SIGKILL");
  const after = await eventually("another leader", async () => { const now = await status(); return now.leader !== before.leader && now.phase === "steady" ? now : null; });
  await eventually("the page to show it", async () => (await browser.text("#answers div:first-child dd")) === after.leader);
  await eventually("the history to show it", async () => (await browser.text("#history")).includes("failover"));
  await eventually("the steps to be shown with their times", async () => /sealing\s*\d+(\.\d+)? m?s/.test(await browser.text("#steps")));
  await browser.picture("failed-over");
  assert.ok((await browser.evaluate("headlines")).length > 0, "the headline never changed");
  await eventually("all to be well again", async () => (await browser.text("#headline")) === "Writable");
  say(`ok: it showed how ${after.leader} took over: ${(await browser.evaluate("headlines")).join(" > ")}`);
}

async function act(browser) {
  const click = (selector) => browser.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  await click("summary");
  await click("[data-action=pause]");
  await click("#confirm-yes");
  await eventually("the refusal", async () => (await browser.text("#answer")).includes("token"));
  assert.equal((await status()).paused, false);
  const token = readFileSync(join(demoFolder, "token"), "utf8").trim();
  await browser.evaluate(`document.getElementById('token').value = ${JSON.stringify(token)}`);
  await click("[data-action=failover]");
  await eventually("the dry run", async () => (await browser.text("#confirm-text")).includes("would lead term"));
  await browser.picture("dry-run");
  await click("#confirm-no");
  await click("[data-action=pause]");
  await eventually("the question", async () => (await browser.text("#confirm-title")).startsWith("Pause"));
  await click("#confirm-yes");
  await eventually("the pause", async () => (await status()).paused && (await browser.text("#headline")).includes("paused"));
  await browser.picture("paused-dark", 1100, "dark");
  assert.ok(!(await browser.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href])")).includes(token));
  say("ok: it acts with the token, and keeps it to itself");
}

async function stayHarmless(browser) {
  const hostile = `<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>`;
  const report = await status();
  report.cluster = hostile;
  report.waiting_for = hostile;
  for (const node of report.nodes) Object.assign(node, { name: node.name + hostile, state: hostile, problems: [hostile], host: hostile, lsn: hostile });
  report.leader = report.nodes[0].name;
  const event = (name, value) => `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`;
  const history = { entries: [{ unix_us: 1e15, kind: hostile, term: 1, leader: hostile, detail: hostile, duration_ms: 5 }] };
  const body = event("status", { status: report, procedure: [{ phase: hostile, ms: null }], phase_ms: 5, poolers: [{ name: hostile, figures: null, age_ms: null }] }) + event("history", history);
  browser.answer = ({ method, params }) => {
    if (method !== "Fetch.requestPaused") return;
    browser.call("Fetch.fulfillRequest", { requestId: params.requestId, responseCode: 200, responseHeaders: [{ name: "content-type", value: "text/event-stream" }], body: Buffer.from(body).toString("base64") });
  };
  await browser.call("Fetch.enable", { patterns: [{ urlPattern: "*/v1/watch" }] });
  await browser.call("Page.reload");
  await eventually("the hostile names as text", async () => (await browser.text("#tree")).includes("<script>"));
  await browser.picture("hostile");
  assert.equal(await browser.evaluate("window.hurt ?? document.querySelectorAll('img, body script').length"), 0);
  await browser.call("Fetch.disable");
  browser.answer = null;
  await browser.call("Page.reload");
  await eventually("the page to be back", async () => (await browser.text("#headline")).startsWith("Writable"));
  say("ok: what looks like markup is text");
}

async function loseTheController(browser, demo) {
  demo.kill("SIGTERM");
  await ended(demo);
  await eventually("the page to say that it hears nothing", async () => (await browser.text("#headline")) === "No news from the controller");
  await browser.picture("no-news");
  say("ok: it says that its news are old; and an open page did not keep the controller from ending");
}

async function main() {
  mkdirSync(folder, { recursive: true });
  const demo = start(pgha, ["demo", "--ephemeral", "--base-port", String(BASE)]);
  await eventually("the demo", async () => { assert.equal(demo.exitCode, null, demo.output); return (await status()).nodes.filter((node) => node.state === "streaming").length === 2; });
  const browser = await Browser.open();
  demoFolder = demo.output.match(/\/\S*demo-\d+/)?.[0];
  makeTraffic();
  await watchAFailover(browser);
  await act(browser);
  await stayHarmless(browser);
  await loseTheController(browser, demo);
  const foreign = browser.addresses().filter((address) => !address.startsWith(`${CONTROLLER}/`) && !address.startsWith("data:") && address !== "about:blank");
  assert.deepEqual(foreign, []);
  assert.deepEqual(browser.complaints(), []);
  say("ok: nothing was asked of anybody else, and the console is empty");
}

try {
  await main();
} finally {
  for (const child of children) { if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM"); await ended(child); }
  if (home) rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(0);
