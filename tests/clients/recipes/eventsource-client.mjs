// eventsource-client: it asks for ever where nothing is to be had, so that a refusal has to end it.
// ---
export function follow(createEventSource, url, onChunk) {
  return new Promise((resolve, reject) => {
    const source = createEventSource({ url, fetch: ask, onMessage });
    async function ask(input, init) {
      const reply = await fetch(input, init);
      if (reply.status >= 400 && reply.status < 500 && reply.status !== 429) {
        source.close();
        reject(new Error(`status ${reply.status}`));
      }
      return reply;
    }
    const onEnd = () => (source.close(), resolve());
    function onMessage({ data }) { data === "[DONE]" ? onEnd() : onChunk(JSON.parse(data)); }
  });
}
// ---
