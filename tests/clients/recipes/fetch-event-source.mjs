// @microsoft/fetch-event-source: it takes a clean end for the end, and asks for ever where nothing is to be had.
// ---
export async function follow(fetchEventSource, url, onChunk) {
  let cursor = "", over = false; // its own cursor moves before an event is whole: a cut would lose that event
  const again = (input, init) => fetch(input, { ...init, headers: { ...init.headers, "last-event-id": cursor } });
  const final = ({ status }) => status === 204 || (status >= 400 && status < 500 && status !== 429);
  await fetchEventSource(url, {
    fetch: again,
    openWhenHidden: true,
    onopen: async (reply) => { over = final(reply); if (!reply.ok || over) throw new Error(`status ${reply.status}`); },
    onmessage: ({ id, data }) => { cursor = id; over = data === "[DONE]"; if (!over) onChunk(JSON.parse(data)); },
    onclose: () => { if (!over) throw new Error("not at the end yet"); },
    onerror: (error) => { if (over) throw error; },
  });
}
// ---
