// Drives a hub with the official client of ASP.NET Core SignalR and prints what it saw.
// Usage: node signalr.js URL TRANSPORT COUNT
const signalR = require("@microsoft/signalr");

const TRANSPORTS = {
  webSockets: signalR.HttpTransportType.WebSockets,
  serverSentEvents: signalR.HttpTransportType.ServerSentEvents,
  longPolling: signalR.HttpTransportType.LongPolling,
};

async function main([url, transport, count]) {
  const options = { transport: TRANSPORTS[transport] };
  if (process.env.HUB_TOKEN) options.accessTokenFactory = () => process.env.HUB_TOKEN;
  const hub = new signalR.HubConnectionBuilder()
    .withUrl(url, options)
    .configureLogging(signalR.LogLevel.None)
    .build();
  const seen = [];
  const enough = new Promise((resolve) => {
    const take = (push) => {
      seen.push(push.id);
      if (seen.length === Number(count)) resolve();
    };
    hub.on("ReceiveOdds", take);
    hub.on("ReceiveEvent", take);
  });
  const closed = new Promise((resolve) => hub.onclose((error) => resolve(String(error ?? "clean"))));
  await hub.start();
  const result = await hub.invoke("Sub", "x", 1);
  const error = await hub.invoke("Fail").then(() => null, (reason) => reason.message);
  const items = await new Promise((resolve, reject) => {
    const found = [];
    const observer = { next: (item) => found.push(item), complete: () => resolve(found), error: reject };
    hub.stream("Count", 3).subscribe(observer);
  });
  await enough;
  const end = process.env.UNTIL_CLOSED ? await closed : await hub.stop().then(() => closed);
  console.log(JSON.stringify({ result, error, items, seen, end }));
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
