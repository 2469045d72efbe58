// Drives a hub with the official client of ASP.NET SignalR 2.x, in a browser that is none.
// Usage: node signalr_legacy.js URL TRANSPORT COUNT
const fs = require("fs");
const { JSDOM } = require("jsdom");

const source = (name) => fs.readFileSync(require.resolve(name), "utf8");

async function main([url, transport, count]) {
  const { window } = new JSDOM("<html></html>", {
    url: new URL("/", url).href,
    runScripts: "outside-only",
  });
  window.eval(source("jquery/dist/jquery.js"));
  window.eval(source("signalr/jquery.signalR.js"));
  const connection = window.jQuery.hubConnection(url, { useDefaultPath: false });
  const hub = connection.createHubProxy("OddsHub");
  const seen = [];
  let reconnects = 0;
  connection.reconnected(() => { reconnects += 1; });
  const enough = new Promise((resolve) => {
    const take = (push) => {
      seen.push(push.id);
      if (seen.length === Number(count)) resolve();
    };
    hub.on("receiveOdds", take);
    hub.on("receiveEvent", take);
  });
  const settled = (deferred) =>
    new Promise((resolve, reject) => deferred.done(resolve).fail(reject));
  await settled(connection.start({ transport, waitForPageLoad: false }));
  const result = await settled(hub.invoke("Sub", "x", 1));
  const error = await settled(hub.invoke("Fail")).then(() => null, (reason) => reason.message);
  await enough;
  const received = seen.slice(0, Number(count));
  connection.stop();
  console.log(JSON.stringify({ result, error, seen: received, reconnects }));
  await new Promise((resolve) => setTimeout(resolve, 100)); // for the abort to leave
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
