// Milliseconds that each transport gets to connect; without them it is some round trips.
const sock = new SockJS("/channel", null, {timeout: 5000});

function tell(event, data) {
  sock.send(JSON.stringify({event: event, data: data}));
}

function show(text) {
  document.getElementById("said").append(text + "\n");
}

sock.onopen = function () {
  tell("SUB", {topic: "EVENTS:job"});
  tell("CMD", {identity: 1, name: "jobs"});
};

sock.onmessage = function (message) {
  const said = JSON.parse(message.data);
  if (said.event === "gaffer:command_success") {
    show(said.data.id === 1 ? "jobs: " + said.data.result.jobs.join(", ") : "done");
  } else if (said.event === "gaffer:event") {
    show(said.data.event);
  } else if (said.event === "gaffer:error") {
    show(said.data.reason);
  }
};

sock.onclose = function (event) {
  show("closed: " + event.reason);
};
