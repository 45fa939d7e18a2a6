// Clients of server-sent events, each reading several streams at once; what each came to is printed as one JSON object.
//
// argv: the client, the address of holdfast-client's build, and a JSON object of stream URLs by scenario.
import fetching from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";

import { follow as withEventSourceClient } from "../recipes/eventsource-client.mjs";
import { follow as withFetchEventSource } from "../recipes/fetch-event-source.mjs";

const [name, client, scenarios] = process.argv.slice(2);
const { followStream } = await import(client);

// What the package for browsers expects.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

const clients = {
  eventsource: (url, onChunk) =>
    new Promise((resolve, reject) => {
      const source = new EventSource(url);
      let ended = false;
      source.onmessage = ({ data }) => (data === "[DONE]" ? (ended = true) : onChunk(JSON.parse(data)));
      // It closes without a word at 204, so it is looked at.
      const watch = setInterval(() => {
        if (source.readyState !== source.CLOSED) return;
        clearInterval(watch);
        if (ended) resolve();
        else reject(new Error("closed"));
      }, 50);
    }),
  "eventsource-client": (url, onChunk) => withEventSourceClient(createEventSource, url, onChunk),
  "fetch-event-source": (url, onChunk) => withFetchEventSource(fetching.fetchEventSource, url, onChunk),
  async "holdfast-client"(url, onChunk) {
    for await (const chunk of followStream(url)) onChunk(chunk);
  },
};

const came = async (url) => {
  const chunks = [];
  let error = null;
  await clients[name](url, (chunk) => chunks.push(chunk)).catch((thrown) => (error = String(thrown)));
  return { chunks, error };
};

const results = await Promise.all(Object.entries(JSON.parse(scenarios)).map(async ([key, url]) => [key, await came(url)]));
// Longer than any of them waits before it asks again: who asks after the end is found out.
setTimeout(() => {
  console.log(JSON.stringify(Object.fromEntries(results)));
  process.exit(0);
}, 2500);
