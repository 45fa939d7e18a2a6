// A fetch for DefaultChatTransport, for those who do not want the package. docs/clients.md shows what is between the lines.
// ---
export async function untilDone(input, init) {
  const first = await fetch(input, init), stream = first.headers.get("x-holdfast-stream");
  if (!stream) return first;
  await first.body.cancel(); // the answer has a route of its own, from which EventSource reads over any number of cuts
  const source = new EventSource(new URL(`/api/streams/${stream}`, first.url)), utf8 = new TextEncoder();
  const start = (out) => {
    source.onmessage = ({ data }) => {
      out.enqueue(utf8.encode(`data: ${data}\n\n`));
      if (data === "[DONE]") source.close(), out.close();
    };
    source.onerror = () => source.readyState === source.CLOSED && out.error(new Error("The answer is gone."));
    init?.signal?.addEventListener("abort", () => (source.close(), out.error(init.signal.reason)));
  };
  return new Response(new ReadableStream({ start, cancel: () => source.close() }), first);
}
// ---
