// A whole conversation over one transport: load a job, follow its events and its output, write to it, take it away.
// Everything that was heard is in the result; it never fails, but says what went wrong.
function talk(url, transport, job, text, key) {
  return new Promise(function (resolve) {
    var heard = {transport: null, events: [], commands: {}, output: "", problem: null, closed: null};
    var old = SockJS.version.indexOf("0.3") === 0;
    // A busy machine is no reason to give a transport up.
    var sock = old ? new SockJS(url, null, {protocols_whitelist: [transport], rtt: 2000})
                   : new SockJS(url, null, {transports: [transport], timeout: 6000});
    var timer = setTimeout(function () { heard.problem = "it took too long"; sock.close(); }, 20000);

    function say(event, data) { sock.send(JSON.stringify({event: event, data: data})); }
    function command(name) {
      say("CMD", {identity: name, name: name, args: Array.prototype.slice.call(arguments, 1)});
    }

    var steps = {
      load: function () {},
      send: function () {},
      unload: function () { sock.close(4000, "done"); }
    };
    sock.onopen = function () {
      heard.transport = old ? sock.protocol : sock.transport;
      if (key) sock.send("AUTH:" + key);
      say("SUB", {topic: "EVENTS:job.default." + job});
      command("load", {name: job, cmd: "cat", redirect_output: ["out"], redirect_input: true, restart: "never"});
    };
    sock.onmessage = function (message) {
      var said = JSON.parse(message.data), data = said.data;
      if (said.event === "gaffer:event" && data.event === "stream") {
        heard.output += data.data;
        if (heard.output === text) command("unload", job);
      } else if (said.event === "gaffer:event") {
        heard.events.push(data.event);
        if (/\.spawn$/.test(data.event)) {
          say("SUB", {topic: "STREAM:" + data.pid + ".out"});
          command("send", data.pid, text);
        }
      } else if (said.event === "gaffer:command_success") {
        heard.commands[data.id] = data.result;
        steps[data.id]();
      } else if (said.event !== "gaffer:subscription_success") {
        heard.problem = message.data;
        sock.close();
      }
    };
    sock.onclose = function (event) {
      clearTimeout(timer);
      heard.closed = [event.code, event.reason];
      resolve(heard);
    };
  });
}
