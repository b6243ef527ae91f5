// A board of the jobs of one gafferd, live, over /channel. All that it shows it was told; it asks for nothing twice.
"use strict";

const MOST_EVENTS = 200, MOST_OUTPUT = 200000, LONGEST_PAUSE = 15000;
const found = (id) => document.getElementById(id);
const jobs = new Map();  // by full name: {info, stats, row}
let channel = null, key = null, pause = 500, numbers = 0, waiting = new Map(), shown = null;

// -- talking ----------------------------------------------------------------------------------------------------------

function connect() {
  channel = new SockJS("/channel", null, {timeout: 5000});
  channel.onopen = () => {
    if (key) channel.send("AUTH:" + key);  // it has to be the first message
    subscribe("EVENTS:job");
    command("jobs").then((answer) => {
      pause = 500;
      line("up", "live by " + channel.transport);
      for (const name of jobs.keys()) answer.jobs.includes(name) ? measure(name) : forget(name);
      answer.jobs.forEach(learn);
      if (shown) show(shown.job, shown.pid);
    }, trouble);
  };
  channel.onmessage = (message) => hear(JSON.parse(message.data));
  channel.onclose = (event) => {
    waiting.forEach(({reject}) => reject(new Error("the connection was lost")));
    waiting = new Map();
    line("down", "not connected (" + (event.reason || event.code) + "); trying again");
    setTimeout(connect, pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  };
}

function say(event, data) {
  if (channel.readyState === SockJS.OPEN) channel.send(JSON.stringify({event, data}));
}

function subscribe(topic, more) { say("SUB", {topic, ...more}); }

function command(name, ...args) {
  return new Promise((resolve, reject) => {
    const identity = ++numbers;
    waiting.set(identity, {resolve, reject});
    say("CMD", {identity, name, args});
  });
}

function hear({event, data}) {
  if (event === "gaffer:command_success" || event === "gaffer:command_error") {
    const {resolve, reject} = waiting.get(data.id) || {};
    waiting.delete(data.id);
    if (event === "gaffer:command_success") resolve?.(data.result);
    else reject?.(new Error(data.error.reason));
  } else if (event === "gaffer:event" && data.event === "stats") figures(data);
  else if (event === "gaffer:event" && data.event === "stream") { if (isShown(data)) output(data.data); }
  else if (event === "gaffer:event" && data.event === "end") return;
  else if (event === "gaffer:event") happened(data);
  else if (event === "gaffer:gap" && isShown(data)) output("\n… " + data.lost + " lost …\n");
  else if (event === "gaffer:error" && data.errno === 401) ask();
  else if (event === "gaffer:error") trouble(new Error(data.reason));
}

function ask() {
  key = prompt("This gafferd wants a key:");
}

// -- jobs -------------------------------------------------------------------------------------------------------------

function happened(data) {
  const short = data.event.split(".").pop(), name = data.session + "." + data.job;
  const more = [data.pid && "pid " + data.pid, data.term_signal ? "signal " + data.term_signal
    : data.exit_code !== undefined && "code " + data.exit_code].filter(Boolean).join(", ");
  const item = document.createElement("li");
  item.textContent = new Date(data.time * 1000).toTimeString().slice(0, 8) + "  " + name + "  " + short + (more && "  " + more);
  const list = found("events"), below = list.scrollTop + list.clientHeight > list.scrollHeight - 30;
  list.append(item);
  if (list.children.length > MOST_EVENTS) list.firstChild.remove();
  if (below) list.scrollTop = list.scrollHeight;
  if (short === "delete") forget(name);
  else learn(name);
}

// What a job is like now. Many events come together, so one question serves all that come while it waits.
function learn(name) {
  const job = jobs.get(name) || {row: document.createElement("tr"), asking: false, again: false};
  if (!jobs.has(name)) {
    jobs.set(name, job);
    measure(name);
  }
  if (job.asking) { job.again = true; return; }
  job.asking = true;
  command("info", name).then((info) => { job.info = info; draw(name, job); }, () => forget(name)).finally(() => {
    job.asking = false;
    if (job.again && jobs.has(name)) { job.again = false; learn(name); }
  });
}

function measure(name) { subscribe("STATS:" + name, {interval: 2}); }

function forget(name) {
  if (!jobs.has(name)) return;
  jobs.get(name).row.remove();
  jobs.delete(name);
  say("UNSUB", {topic: "STATS:" + name});
}

function figures(data) {
  const job = jobs.get(data.name);
  if (!job || !job.info) return;
  job.stats = data.stats;
  draw(data.name, job);
  if (job.info.state !== "running") learn(data.name);  // nothing happens when a start is over; it only did not fail
}

function draw(name, job) {
  const {info, stats, row} = job, running = info.running > 0 && stats;
  const cells = [name.replace(/^default\./, ""), info.state, info.processes.map((pid) => button(pid, () => show(name, pid), "pid")),
    info.restarts, running ? stats.cpu.toFixed(1) + " %" : "", running ? stats.mem.toFixed(1) + " %" : "",
    [button("−", () => act("scale", name, "-1")), button("+", () => act("scale", name, "+1")),
     info.active ? button("stop", () => act("stop_job", name)) : button("start", () => act("start_job", name)),
     button("reload", () => act("reload", name))]];
  const key = JSON.stringify([cells.slice(0, 2), info.processes, cells.slice(3, 6), info.active]);
  if (row.dataset.key === key) return;  // a button that is replaced under the mouse cannot be clicked
  row.dataset.key = key;
  row.replaceChildren(...cells.map((content) => {
    const cell = document.createElement("td");
    cell.append(...[].concat(content));
    return cell;
  }));
  row.dataset.job = name;
  row.children[1].className = info.state;
  const after = [...found("jobs").children].find((other) => other !== row && other.dataset.job > name);
  found("jobs").insertBefore(row, after || null);
}

function button(text, press, kind) {
  const made = document.createElement("button");
  made.textContent = text;
  made.className = kind || "";
  made.onclick = press;
  return made;
}

function act(...words) { command(...words).catch(trouble); }

// -- one process ------------------------------------------------------------------------------------------------------

function show(job, pid) {
  if (shown) say("UNSUB", {topic: "STREAM:" + shown.pid});
  shown = {job, pid};
  found("process").hidden = false;
  found("whose").textContent = job.replace(/^default\./, "") + ", process " + pid;
  found("output").textContent = "";
  command("process_info", pid).then((info) => {
    if (shown.pid !== pid) return;
    found("input").hidden = !info.redirect_input;
    if (info.redirect_output.length) subscribe("STREAM:" + pid, {tail: 100});
    else output("(its output is not redirected)");
  }, trouble);
}

// What was on its way when another process was chosen is not its output.
function isShown(data) { return shown && data.topic === "STREAM:" + shown.pid; }

function output(text) {
  const place = found("output"), below = place.scrollTop + place.clientHeight > place.scrollHeight - 30;
  place.textContent = (place.textContent + text).slice(-MOST_OUTPUT);
  if (below) place.scrollTop = place.scrollHeight;
}

found("input").onsubmit = (event) => {
  event.preventDefault();
  act("send", shown.pid, event.target.text.value + "\n");
  event.target.reset();
};

// -- how it goes ------------------------------------------------------------------------------------------------------

function line(kind, text) { found("line").className = kind; found("line").textContent = text; }

function trouble(error) {
  found("trouble").textContent = error.message;
  found("trouble").hidden = false;
  clearTimeout(trouble.timer);
  trouble.timer = setTimeout(() => { found("trouble").hidden = true; }, 6000);
}

connect();
