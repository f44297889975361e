"use strict";
// The page of workloads. Whatever comes from a program is put into the page as text, never as HTML.

const API = "/experimental";
const HEADERS = { Authorization: "Bearer page" }; // any word will do: it keeps pages from elsewhere out
const PAGE = 25;
const view = document.getElementById("view");
let asking = 0; // number of the newest question: answers to older ones are not shown
let typed = 0; // the filters were changed, and not yet asked for
let armed = ""; // the button that was pressed once and asks for a second press
const contents = new Map(); // job → its circuits and results, which do not change once it is over

// -- making and changing elements ---------------------------------------------------------------------------

function el(name, attributes, ...children) {
  const made = document.createElement(name);
  return filled(made, attributes, children);
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  return filled(made, attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) made.append(child);
  }
  return made;
}

// Make `old` what `wanted` is, touching only what differs: focus, selections and scrolling stay where they are.
function become(old, wanted) {
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...wanted.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const keys = new Set([...wanted.childNodes].map(key).filter(Boolean));
  const known = new Map([...old.childNodes].filter(key).map((one) => [key(one), one]));
  let place = old.firstChild;
  for (const next of [...wanted.childNodes]) {
    while (place && key(place) && !keys.has(key(place))) place = removed(place);
    const same = key(next) ? known.get(key(next)) : alike(place, next) ? place : null;
    if (!same) {
      old.insertBefore(next, place);
    } else {
      if (same === place) place = place.nextSibling;
      else old.insertBefore(same, place);
      if (same.nodeType === Node.TEXT_NODE) {
        if (same.data !== next.data) same.data = next.data;
      } else become(same, next);
    }
  }
  while (place) place = removed(place);
}

const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);
const alike = (one, other) => one && !key(one) && one.nodeType === other.nodeType && one.nodeName === other.nodeName;

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// -- words --------------------------------------------------------------------------------------------------

function seconds(value) {
  if (value === 0) return "0 s";
  if (value < 60) return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(value / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

const money = (value) => `${value.toFixed(value > 0 && value < 0.1 ? 4 : 2)} USD`;
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : noun.endsWith("h") ? "es" : "s"}`;

function when(text) {
  if (!text) return "";
  const [day, rest] = text.split("T");
  const time = rest.slice(0, 8);
  return el("time", { datetime: text, title: text }, `${day} ${time}`);
}

const STATES = {
  open: "open, not started", active: "active", inactive: "inactive", closed: "closed",
  Queued: "queued", Running: "running", Completed: "done", Cancelled: "cancelled", Failed: "failed",
};
const WORDS = { pending: "pending", in_progress: "in progress", completed: "completed", canceled: "cancelled", failed: "failed" };
const OF_JOBS = { completed: "done", in_progress: "running", pending: "queued", failed: "failed", canceled: "cancelled" };

const state = (one) => el("span", { class: `state ${one.short ? "short" : one.status}` }, one.status === "failed" ? "failed" : STATES[one.state] || one.state);

function jobsOf(counts) {
  const all = Object.values(counts).reduce((sum, each) => sum + each, 0);
  const kinds = Object.keys(OF_JOBS).filter((kind) => counts[kind]);
  if (!all) return "none yet";
  if (kinds.length === 1) return `${all} ${OF_JOBS[kinds[0]]}`;
  return `${all}: ${kinds.map((kind) => `${counts[kind]} ${OF_JOBS[kind]}`).join(", ")}`;
}

const PHASES = {
  waiting: "waiting", preparing: "classical phase", ready: "waiting for the QPU", running: "on the QPU",
  unknown: "running, the QPU included", active: "active", inactive: "inactive",
};
const onQpu = (one) => (one.so_far === null ? seconds(one.usage) : [seconds(one.so_far), el("small", {}, "so far")]);
const legend = (kinds) => el("ul", { class: "key" }, kinds.map(([kind, name]) =>
  el("li", {}, svg("svg", { viewBox: "0 0 10 10" }, svg("rect", { class: kind, width: 10, height: 10 })), name)));

const tags = (names) => names.map((name) => el("span", { class: "tag" }, name));

function bar(segments) {
  const total = segments.reduce((sum, [, length]) => sum + length, 0);
  const told = segments.map(([kind, length]) => `${PHASES[kind] || kind} ${seconds(length)}`).join(", ");
  let place = 0;
  const drawn = segments.map(([kind, length]) => {
    const width = total ? (length / total) * 1000 : 0;
    place += width;
    return svg("rect", { class: kind, x: place - width, y: 0, width: Math.max(width, length ? 1.5 : 0), height: 14 });
  });
  return svg("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", height: 14, role: "img", "aria-label": told },
    svg("title", {}, told), drawn);
}

// -- the list -----------------------------------------------------------------------------------------------

function overview(told, query) {
  document.title = "Workloads";
  const none = !Object.values(told.counts).length;
  return [
    tiles([
      [seconds(told.used), told.usage_limit === null ? "used" : `used of ${seconds(told.usage_limit)} in 28 days`],
      [money(told.cost), told.price ? `at ${told.price} USD a second, ${told.plan} plan` : `${told.plan} plan`],
      ...told.backends.map((one) => [one.name, `${count(one.qubits, "qubit")}, ${one.queue ? count(one.queue, "job") + " not over" : "no job waits"}`]),
    ]),
    none ? start() : [filters(told, query), list(told), pages(told, query)],
  ];
}

const tiles = (all) => el("ul", { class: "tiles" }, all.map(([value, name]) => el("li", {}, el("b", {}, value), el("span", {}, name))));

function start() {
  return el("section", {},
    el("h2", {}, "Nothing has run yet"),
    el("p", {}, "Any program for qiskit-ibm-runtime runs here unchanged. In the terminal that it is started from:"),
    el("pre", {}, `eval "$(python -m runner serve --env port=${location.port || 80})"\npython my_program.py`),
    el("p", { class: "quiet" }, "Its sessions, batches and jobs appear here by themselves."));
}

function filters(told, query) {
  const option = (name, value, text) => el("option", { value, selected: query.get(name) === value || (!value && !query.get(name)) }, text);
  return el("form", { id: "filters", role: "search", "data-key": "filters" },
    el("label", {}, "Mode", el("select", { name: "mode" }, option("mode", "", "all"),
      ["session", "batch", "job"].map((mode) => option("mode", mode, mode)))),
    el("label", {}, "State", el("select", { name: "status" }, option("status", "", "all"),
      Object.entries(WORDS).map(([value, text]) => option("status", value, `${text} (${told.counts[value] || 0})`)))),
    el("label", {}, "Id, tag or device", el("input", { name: "search", type: "search", value: query.get("search"), autocomplete: "off" })));
}

function list(told) {
  return table(`${count(told.found, "workload")}, newest first`,
    [["Workload"], ["State"], ["Device"], ["Created (UTC)"], ["Jobs"], ["Usage", "n"], ["Price", "n"], ["Timeline"]],
    told.workloads.map((one) => [one.id, [
      ["what", [el("a", { href: place(one) }, one.mode === "job" ? one.program : one.mode), " ",
        el("span", { class: "id", title: one.id }, one.id.slice(0, 8)), el("div", {}, tags(one.tags))]],
      ["", [state(one), one.reason ? el("small", {}, one.reason) : null], "State"],
      ["", one.backend, "Device"],
      ["", when(one.created), "Created"],
      ["", one.mode === "job" ? "" : jobsOf(one.jobs), "Jobs"],
      ["n", onQpu(one), "Usage"],
      ["n", money(one.cost), "Price"],
      ["bar", [bar(one.segments), el("small", {}, seconds(one.seconds))]],
    ]]));
}

const place = (one) => `#/${one.mode === "job" ? "jobs" : "sessions"}/${one.id}`;

function table(caption, heads, rows) {
  return el("table", { "data-key": caption.replace(/[0-9]+/g, "") },
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, heads.map(([name, kind]) => el("th", { class: kind, scope: "col" }, name)))),
    el("tbody", {}, rows.map(([id, cells]) => el("tr", { "data-key": id },
      cells.map(([kind, content, name]) => el("td", { class: kind || null, "data-name": name }, content))))));
}

function pages(told, query) {
  const last = told.offset + told.limit >= told.found;
  if (!told.offset && last) return null;
  const to = (offset) => { const next = new URLSearchParams(query); next.set("offset", offset); return `${where().path}?${next}`; };
  return el("nav", { class: "row", "aria-label": "Pages" },
    told.offset ? el("a", { href: to(Math.max(0, told.offset - told.limit)) }, "newer") : null,
    el("span", { class: "quiet" }, `${Math.min(told.offset + 1, told.found)} to ${Math.min(told.offset + told.limit, told.found)} of ${told.found}`),
    last ? null : el("a", { href: to(told.offset + told.limit) }, "older"));
}

// -- a session ----------------------------------------------------------------------------------------------

function session(told, query) {
  const one = told.workload;
  document.title = `${one.mode} ${one.id.slice(0, 8)}`;
  const going = one.status === "pending" || one.status === "in_progress";
  const kind = one.mode === "batch" ? "Batch" : "Session";
  return [
    back(),
    el("h2", {}, kind, " ", el("span", { class: "id" }, one.id)),
    el("p", { class: "row" }, state(one), el("span", { class: "quiet" }, one.reason)),
    tiles([
      [seconds(one.usage), one.mode === "batch" ? "QPU time of its jobs" : "active so far"],
      [money(one.cost), told.until_end === null ? `at ${told.price} USD a second`
        : `so far; ${money(told.until_end)} if it stays active to its maximum time, and more while a job then completes`],
      [jobsOf(one.jobs), "jobs"],
      told.seconds_left === null ? [seconds(told.max_time), "maximum time"] : [seconds(told.seconds_left), `left of ${seconds(told.max_time)}`],
    ]),
    going ? el("div", { class: "row" },
      told.accepting ? press("close", one.id, `Close this ${one.mode}`, "what is submitted still runs") : null,
      press("cancel", one.id, "Cancel what waits", "running jobs complete, the rest does not run")) : null,
    el("h3", {}, "Timeline"),
    timeline(told.timeline),
    el("h3", {}, "Jobs"),
    jobs(told),
    pages(told, query),
    el("h3", {}, "Facts"),
    facts([
      ["Device", one.backend], ["Opened (UTC)", when(one.created)], ["First job started", when(told.started)],
      ["Closed", when(told.closed)], ["Ends at the latest", when(told.ends)],
      ["Idle time before it is inactive", seconds(told.interactive_timeout)], ["Takes jobs", told.accepting ? "yes" : "no"],
    ]),
    el("h3", {}, "In a program"),
    snippet(`from qiskit_ibm_runtime import ${kind}\n${one.mode} = ${kind}.from_id("${one.id}", service)`),
  ];
}

const back = () => el("p", {}, el("a", { href: "#/" }, "← all workloads"));
const facts = (all) => el("dl", {}, all.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
const snippet = (text) => el("div", {}, el("pre", {}, text), el("button", { type: "button", "data-do": "copy", "data-text": text }, "Copy"));

function press(what, id, name, why) {
  const sure = armed === `${what} ${id}`;
  return el("button", { type: "button", "data-do": what, "data-id": id, title: why, class: sure ? "danger" : null },
    sure ? `Sure? ${name}: ${why}` : name);
}

function jobs(told) {
  const charged = told.workload.mode === "batch";
  return table(`${count(told.found, "job")}, newest first`,
    [["Job"], ["State"], ["Submitted (UTC)"], ["QPU time", "n"], ...(charged ? [["Price", "n"]] : []), ["Timeline"]],
    told.jobs.map((one) => [one.id, [
      ["what", [el("a", { href: `#/jobs/${one.id}` }, one.program), " ", el("span", { class: "id", title: one.id }, one.id.slice(0, 8)),
        el("div", {}, tags(one.tags))]],
      ["", [state(one), one.reason ? el("small", {}, one.reason) : null], "State"],
      ["", when(one.created), "Submitted"],
      ["n", onQpu(one), "QPU time"],
      ...(charged ? [["n", money(one.cost), "Price"]] : []),
      ["bar", [bar(one.segments), el("small", {}, seconds(one.seconds))]],
    ]]));
}

function timeline(told) {
  const width = Math.max(280, view.clientWidth), total = Math.max(told.seconds, 1e-6);
  const x = (value) => (Math.min(value, total) / total) * width;
  const drawn = [];
  let at = 0;
  for (const [kind, length] of told.segments) {
    drawn.push(svg("rect", { class: kind, x: x(at), y: 0, width: Math.max(x(at + length) - x(at), length ? 1 : 0), height: 16 },
      svg("title", {}, `${kind} for ${seconds(length)}`)));
    at += length;
  }
  const lanes = [], above = []; // until when each is taken
  for (const job of told.jobs || []) {
    let lane = lanes.findIndex((end) => end <= job.from + 1e-9);
    if (lane < 0) lane = lanes.length < 8 ? lanes.push(0) - 1 : lanes.indexOf(Math.min(...lanes));
    lanes[lane] = job.to;
    const y = 24 + 14 * lane;
    const reached = job.reached === null ? job.to : job.reached;
    drawn.push(svg("line", { class: "queue", x1: x(job.waits), x2: x(job.from), y1: y + 5, y2: y + 5 }),
      svg("rect", { class: "ready", x: x(job.from), y: y + 3, width: x(reached) - x(job.from), height: 4 }));
    above.push(svg("a", { href: `#/jobs/${job.id}`, tabindex: -1 },
        svg("rect", { class: job.status, x: x(reached), y, width: Math.max(x(job.to) - x(reached), 1.5), height: 10 },
          svg("title", {}, `${job.id.slice(0, 8)}: QPU ${seconds(job.to - reached)}, before it ${seconds(reached - job.waits)}`))));
  }
  drawn.push(...above);
  (told.busy || []).forEach((share, place) => drawn.push(svg("rect", { class: "running", x: (place * width) / told.busy.length,
    y: 24 + 40 * (1 - share), width: width / told.busy.length, height: 40 * share })));
  const bottom = told.busy ? 68 : 28 + 14 * Math.max(1, lanes.length);
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400].find((one) => total / one <= width / 90) || total;
  for (let tick = 0; tick <= total; tick += step) {
    drawn.push(svg("line", { class: "line", x1: x(tick), x2: x(tick), y1: 0, y2: bottom }),
      svg("text", { x: x(tick) + 3, y: bottom + 12 }, tick ? seconds(tick).replace(/\.0+ s/, " s").replace(/ 0 (s|min)$/, "") : "0"));
  }
  const names = told.busy ? [["active", "active"], ["inactive", "inactive"], ["running", "share of the time in which the QPU is busy"]]
    : [["waiting", "waits for its first job"], ["active", "active"], ["inactive", "inactive"], ["ready", "job started, not on the QPU"], ["completed", "on the QPU: done"], ["in_progress", "now"], ["failed", "failed"]];
  return el("div", {},
    svg("svg", { height: bottom + 16, viewBox: `0 0 ${width} ${bottom + 16}`, role: "img", "aria-label": `what happened within ${seconds(total)}` }, drawn),
    legend(names));
}

// -- a job --------------------------------------------------------------------------------------------------

function job(told) {
  const one = told.job, content = contents.get(one.id);
  document.title = `job ${one.id.slice(0, 8)}`;
  const waited = one.segments.filter(([kind]) => kind === "waiting" || kind === "ready").reduce((sum, [, length]) => sum + length, 0);
  return [
    told.session ? el("p", {}, el("a", { href: `#/sessions/${told.session}` }, `← its ${told.mode}`)) : back(),
    el("h2", {}, `Job (${one.program}) `, el("span", { class: "id" }, one.id)),
    el("p", { class: "row" }, state(one), tags(one.tags)),
    one.reason ? el("section", {}, el("h3", {}, "Why"), el("pre", {}, told.code ? `code ${told.code}: ${one.reason}` : one.reason)) : null,
    tiles([
      one.so_far !== null ? [seconds(one.so_far), `QPU time so far; ${seconds(told.estimate)} expected, charged when it is over`]
        : [seconds(one.usage), one.ended ? "QPU time" : `QPU time; ${seconds(told.estimate)} expected`],
      [one.cost === null ? "in its session" : money(one.cost), one.cost === null ? "price: the session is charged while active" : "price"],
      [seconds(waited), one.reached || one.ended ? "waited" : "waiting so far"],
    ]),
    one.status === "pending" || one.status === "in_progress" ? el("div", { class: "row" }, press("cancel-job", one.id, "Cancel this job", "what it used is charged")) : null,
    bar(one.segments),
    legend(one.segments.map(([kind, length]) => [kind, `${PHASES[kind]} ${seconds(length)}`])),
    el("h3", {}, "Result"),
    result(told, content),
    el("h3", {}, "Circuits"),
    circuits(told, content),
    el("h3", {}, "Facts"),
    facts([
      ["Device", one.backend], ["Submitted (UTC)", when(one.created)], ["Started", when(one.started)],
      ["Reached the QPU", when(one.reached)],
      ["Over", when(one.ended)], ["Its own limit", told.own_limit && seconds(told.own_limit)],
      ["Calibration", told.calibration], ["Private", told.private && "its input is not kept, its result until it is read"],
    ]),
    told.log ? [el("h3", {}, "Log"), el("pre", {}, told.log)] : null,
    el("h3", {}, "In a program"),
    snippet(`job = service.job("${one.id}")\nresult = job.result()`),
  ];
}

function result(told, content) {
  if (told.private) return el("p", {}, told.read ? "Private: its result was read, and is gone." : "Private: its result can be read once, by a program.");
  if (told.job.status === "pending") return el("p", {}, "It waits for its turn.");
  if (told.job.status === "in_progress") return el("p", {}, "It is running.");
  if (told.job.status !== "completed") return el("p", {}, "There is none.");
  if (!content) return el("p", { class: "quiet" }, "…");
  if (content.note) return el("p", {}, content.note);
  return content.result.map((pub, number) => {
    const head = el("p", { class: "quiet" }, `PUB ${number}`);
    if (pub.note) return el("p", {}, pub.note);
    if (pub.values) {
      return [head, el("dl", {}, pub.values.map(([value, error], place) => [el("dt", {}, `⟨${place}⟩`),
        el("dd", {}, error === null ? value.toPrecision(7) : `${value.toFixed(6)} ± ${error.toPrecision(2)}`)])), more(pub.values.length, pub.of, "value")];
    }
    if (pub.layer) {
      return [el("p", { class: "quiet" }, pub.layer), facts(pub.rates.map(([generator, rate]) => [generator, rate.toExponential(3)])),
        more(pub.rates.length, pub.of, "rate")];
    }
    if (pub.shapes) {
      return [head, el("p", {}, "Raw data; the primitive in its program makes numbers of them."),
        facts(Object.entries(pub.shapes).map(([name, shape]) => [name, Array.isArray(shape) ? shape.join(" × ") : String(shape)]))];
    }
    return [head, Object.entries(pub.registers).map(([name, bits]) => [el("p", {}, `register ${name}, ${count(bits.shots, "shot")}`), counts(bits), more(bits.counts.length, bits.of, "bitstring")])];
  });
}

const more = (shown, all, noun) => (all > shown ? el("p", { class: "quiet" }, `the first ${shown} of ${count(all, noun)}`) : null);

function counts(bits) {
  return el("table", {}, el("tbody", {}, bits.counts.map(([word, number]) => el("tr", {},
    el("td", { class: "id what" }, word), el("td", { class: "n" }, String(number)), el("td", { class: "n" }, `${((100 * number) / bits.shots).toFixed(1)} %`),
    el("td", { class: "bar" }, svg("svg", { viewBox: "0 0 1000 12", preserveAspectRatio: "none", height: 12 },
      svg("rect", { class: "count", width: (1000 * number) / bits.shots, height: 12 })))))));
}

function circuits(told, content) {
  if (told.private) return el("p", {}, "Private: not kept.");
  if (!content) return el("p", { class: "quiet" }, "…");
  if (content.note || !content.circuits.length) return el("p", {}, content.note || "There is nothing to be shown.");
  return table(count(content.circuits.length, "circuit"),
    [["Circuit"], ["Qubits", "n"], ["Depth", "n"], ["Two-qubit gates", "n"], ["Parameters", "n"], ["Asked for"]],
    content.circuits.map((one, number) => [`circuit ${number}`, [
      ["what", [one.name, el("small", {}, Object.entries(one.gates).map(([gate, times]) => `${gate} ${times}`).join(", "))]],
      ["n", String(one.qubits), "Qubits"], ["n", String(one.depth), "Depth"], ["n", String(one.two_qubit_gates), "Two-qubit gates"],
      ["n", String(one.parameters), "Parameters"],
      ["", [one.observables && count(one.observables, "observable"), one.parameter_sets && count(one.parameter_sets, "parameter set"),
        one.shots && count(one.shots, "shot"), one.precision !== undefined && `precision ${one.precision}`].filter(Boolean).join(", "), "Asked for"],
    ]]));
}

// -- asking -------------------------------------------------------------------------------------------------

function where() {
  const [path, query] = (location.hash || "#/").split("?");
  return { path, parts: path.slice(2).split("/"), query: new URLSearchParams(query || "") };
}

async function ask(url, options) {
  const answer = await fetch(url, { ...options, headers: { ...HEADERS, ...(options || {}).headers }, cache: "no-store" });
  const told = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(told && told.errors ? told.errors[0].message : `answer ${answer.status}`);
  return told;
}

async function show() {
  const mine = ++asking;
  const { parts, query } = where();
  query.set("limit", PAGE);
  try {
    let told, made;
    if (parts[0] === "sessions") {
      told = await ask(`/page/sessions/${encodeURIComponent(parts[1])}?${query}`);
      made = () => session(told, where().query);
    } else if (parts[0] === "jobs") {
      told = await ask(`/page/jobs/${encodeURIComponent(parts[1])}`);
      const known = contents.get(told.job.id);
      if (!told.private && (!known || known.ended !== told.job.ended)) {
        contents.set(told.job.id, { ...(await ask(`/page/jobs/${encodeURIComponent(parts[1])}/content`)), ended: told.job.ended });
      }
      made = () => job(told);
    } else {
      told = await ask(`/page/workloads?${query}`);
      made = () => overview(told, where().query);
    }
    if (mine !== asking) return null;
    put(made());
    const pace = told.scale === null ? "the clock jumps to what happens next" : told.scale === 1 ? "a second takes a second" : `${told.scale} s pass in one while something is open, so dates may be ahead of yours`;
    document.getElementById("clock").textContent = `${told.now.slice(0, 10)} ${told.now.slice(11, 19)} UTC, modelled time: ${pace}`;
    trouble("");
    return true;
  } catch (error) {
    if (mine !== asking) return null;
    trouble(error instanceof TypeError ? "The server does not answer; this page tries again." : error.message);
    return false;
  }
}

function put(content) {
  become(view, el("main", { id: "view" }, content));
  for (const one of view.querySelectorAll("#filters [name]")) { // what was typed is no attribute
    if (!typed && one !== document.activeElement) one.value = where().query.get(one.name) || "";
  }
}

function trouble(text) {
  const line = document.getElementById("trouble");
  line.hidden = !text;
  if (line.textContent !== text) line.textContent = text;
}

async function live() {
  for (;;) {
    const began = performance.now();
    const fine = document.hidden ? true : await show();
    const taken = performance.now() - began; // where an answer takes long, ask less often
    await new Promise((go) => setTimeout(go, Math.max(1000, 10 * taken, fine === false ? 3000 : 0)));
  }
}

// -- what a person does -------------------------------------------------------------------------------------

const DEEDS = {
  close: (id) => ask(`${API}/sessions/${id}`, { method: "PATCH", body: '{"accepting_jobs":false}', headers: { "Content-Type": "application/json" } }),
  cancel: (id) => ask(`${API}/sessions/${id}/close`, { method: "DELETE" }),
  "cancel-job": (id) => ask(`${API}/jobs/${id}/cancel`, { method: "POST" }),
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  const row = event.target.closest("tbody tr");
  if (button) {
    const deed = button.getAttribute("data-do"), id = button.getAttribute("data-id");
    if (deed === "copy") {
      await navigator.clipboard.writeText(button.getAttribute("data-text"));
      button.textContent = "Copied";
      return;
    }
    if (armed !== `${deed} ${id}`) {
      armed = `${deed} ${id}`;
    } else {
      armed = "";
      await DEEDS[deed](id).catch((error) => trouble(error.message));
    }
    show();
  } else if (row && !event.target.closest("a") && !String(getSelection())) {
    const link = row.querySelector("a");
    if (link) location.hash = link.getAttribute("href");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (armed) { armed = ""; show(); } else if (where().parts[0]) history.back();
});

function choose(event) {
  if (!event.target.closest("#filters")) return;
  clearTimeout(typed);
  typed = setTimeout(() => {
    typed = 0;
    const wanted = new URLSearchParams([...new FormData(document.getElementById("filters"))].filter(([, value]) => value));
    location.replace(`#/?${wanted}`);
  }, 150);
}
document.addEventListener("input", choose);
document.addEventListener("change", choose);
document.addEventListener("submit", (event) => event.preventDefault());

window.addEventListener("hashchange", async () => {
  armed = "";
  await show();
  if (where().parts[0]) scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) show(); });
window.addEventListener("resize", show);
live();
