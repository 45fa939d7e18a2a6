/** A `fetch` for the AI SDK's `DefaultChatTransport`: one answer, over any number of connections. */

import { FollowError } from "./errors.js";
import { Follower, isEventStream, type Connect, type Followed } from "./follower.js";
import { askingForStates, fetchOf, given, type FollowOptions } from "./options.js";
import { isRepeatable, sendRead, sendStart } from "./start.js";
import { absolute, reading } from "./stream.js";

/** Options of `followFetch`. */
export interface FollowFetchOptions extends FollowOptions {
  /**
   * The URL of a stream's own route. By default it lies beside the chat route that answered: `/api/chat` and
   * `/api/chat/<id>/stream` lead to `/api/streams/<stream>`.
   */
  streamUrl?: ((stream: string, answeredBy: URL) => string | URL) | undefined;
  /** Told which stream answers, and its URL: what `stopStream` needs. */
  onStream?: ((stream: string, url: string) => void) | undefined;
}

/**
 * Make a `fetch` whose responses last until the answer's end. Give it to `DefaultChatTransport`.
 *
 * A response that carries an answer (`x-holdfast-stream`) goes on across clean ends and hard cuts, each time with
 * `Last-Event-ID`, until `[DONE]`. If that cannot be reached, its body fails with a `FollowError`. All other responses
 * are passed on as they are. A start gets an `Idempotency-Key`, and is sent again if the network or the server was
 * not there: it is one answer all the same. A GET is sent again also where the server says "not now", for 15 s.
 *
 * `token` and `headers` go with every request. A header of the call itself wins for the first request; where the answer
 * goes on, what the options make anew wins.
 */
export function followFetch(options: FollowFetchOptions = {}): typeof globalThis.fetch {
  return async (input, init = {}) => {
    // A Request is taken apart, so that its parts can be used again.
    const request = input instanceof Request ? new Request(input, init) : undefined;
    const url = absolute(request?.url ?? (input as string | URL));
    const method = (request?.method ?? init.method ?? "GET").toUpperCase();
    const own = new Headers(request?.headers ?? init.headers);
    const body = request === undefined ? init.body : method === "GET" || method === "HEAD" ? null : await request.text();
    const signal = request?.signal ?? init.signal ?? undefined;
    const credentials = request?.credentials ?? init.credentials ?? options.credentials ?? "same-origin";

    // The caller's abort and the end of the body end whatever connection there is, and nothing listens any more.
    const over = new AbortController();
    const hangUp = (): void => over.abort(signal?.reason);
    if (signal?.aborted) hangUp();
    signal?.addEventListener("abort", hangUp, { signal: over.signal });
    const first = new AbortController();
    over.signal.addEventListener("abort", () => first.abort(over.signal.reason), { signal: first.signal });

    const states = options.onState !== undefined;
    const target = states ? askingForStates(url) : url;
    options.onState?.({ phase: "connecting" });
    let response: Response;
    try {
      const headers = merged(await given(options), own);
      const sent: RequestInit = { ...init, method, headers, credentials, signal: first.signal, body: body ?? null };
      if (method === "GET") response = await sendRead(target, sent, options);
      else if (method === "POST" && isRepeatable(body)) response = await sendStart(target, sent, options);
      else response = await fetchOf(options)(target, sent);
    } catch (error) {
      over.abort(error);
      options.onState?.({ phase: "ended", outcome: "lost", error: undefined });
      throw error;
    }
    const stream = response.headers.get("x-holdfast-stream");
    if (stream === null || response.body === null || !isEventStream(response)) {
      // Whoever reads a body that is passed on may still abort it.
      if (response.body === null) over.abort();
      options.onState?.({ phase: "ended", outcome: response.ok ? "complete" : "lost", error: undefined });
      return response;
    }

    let streamUrl: string;
    try {
      const answeredBy = new URL(response.url || url);
      streamUrl = absolute(options.streamUrl?.(stream, answeredBy) ?? besideChat(stream, answeredBy));
      options.onStream?.(stream, streamUrl);
    } catch (error) {
      over.abort(error);
      throw error;
    }
    const readHeaders = async (): Promise<Headers> => merged(readingPart(own), await given(options));
    const again: FollowOptions = { ...options, credentials, headers: readHeaders };
    const goOn = reading(states ? askingForStates(streamUrl) : streamUrl, again);
    // As long as nothing was read, a resume is asked for again: its route may tell more than the stream's own.
    const anew = method === "GET" ? reading(target, again) : goOn;
    const connect: Connect = (cursor, ending) => (cursor === undefined ? anew : goOn)(cursor, ending);
    const follower = new Follower(connect, again, over.signal);
    return new Response(bodyOf(follower.events({ response, abort: first }), over), {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    });
  };
}

/** Headers, and others over them. */
function merged(under: Headers, over: Headers): Headers {
  const all = new Headers(under);
  for (const [name, value] of over) all.set(name, value);
  return all;
}

/** The headers of a start that a read of the same caller needs as well. */
function readingPart(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of ["content-type", "content-length", "content-encoding", "idempotency-key"]) kept.delete(name);
  return kept;
}

/** The stream's own route, beside the chat route that answered. */
function besideChat(stream: string, answeredBy: URL): URL {
  const found = /^(.*)\/chat(?:\/.+\/stream)?\/?$/.exec(answeredBy.pathname);
  if (found === null) {
    throw new FollowError(
      "refused",
      `It is not known where the streams of ${answeredBy.pathname} can be read: give followFetch a streamUrl.`,
    );
  }
  return new URL(`${found[1]}/streams/${encodeURIComponent(stream)}`, answeredBy);
}

/** Whole events as bytes; the end of a connection in the middle of one leaves nothing behind. */
function bodyOf(events: AsyncGenerator<Followed, void, undefined>, over: AbortController): ReadableStream<Uint8Array> {
  const utf8 = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await events.next();
        if (done) {
          controller.close();
          over.abort();
        } else controller.enqueue(utf8.encode(encode(value)));
      } catch (error) {
        controller.error(error);
        over.abort(error);
      }
    },
    async cancel(reason) {
      over.abort(reason);
      await events.return();
    },
  });
}

function encode({ cursor, data }: Followed): string {
  const lines = data.split("\n").map((line) => `data: ${line}\n`);
  return `${cursor === undefined ? "" : `id: ${cursor}\n`}${lines.join("")}\n`;
}
