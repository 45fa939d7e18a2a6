// A stock AI SDK chat under remote control: one JSON command a line comes in, one JSON answer a line goes out.
//
// argv: the major version of `ai`, the address of holdfast-client's build, and what says who asks.
import { createInterface } from "node:readline";

const [version, client, authorization] = process.argv.slice(2);
const headers = { authorization };
const { Chat } = await import(`ai-sdk-react-${version}`);
const { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } = await import(`ai-${version}`);
const { followFetch } = await import(client);
const { EventSource } = await import("eventsource");
// A browser sends its cookies; here a header says who asks.
globalThis.EventSource = class extends EventSource {
  constructor(url) {
    super(url, { fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }) });
  }
};
const { untilDone } = await import("../recipes/use-chat.mjs");

/** Chats by name, each with what it is doing, what it asked for, and what its callbacks were told. */
const chats = new Map();

const commands = {
  /**
   * Make a chat as a page does. `follow`: with the package's fetch; `recipe`: with that of docs/clients.md; `auto`: send
   * tool results by itself.
   */
  open({ chat: name, base, id, messages = [], body = {}, follow = false, recipe = false, auto = false }) {
    const kept = { doing: undefined, requests: [], finishes: [], data: [], states: [] };
    const onState = (state) => kept.states.push(state.phase);
    const through = follow ? followFetch({ onState }) : recipe ? untilDone : fetch;
    const seen = async (input, init) => {
      kept.requests.push({ method: init?.method ?? "GET", url: String(input), body: init?.body ?? null });
      return through(input, init);
    };
    kept.chat = new Chat({
      id,
      messages,
      transport: new DefaultChatTransport({ api: `${base}/api/chat`, fetch: seen, body, headers }),
      onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
        kept.finishes.push({ isAbort, isDisconnect, isError, finishReason }),
      onData: (part) => kept.data.push(part),
      ...(auto && { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls }),
    });
    chats.set(name, kept);
  },
  send: ({ chat, message, body }) => begin(chat, (it) => it.sendMessage(message, { body })),
  /** Send what is there, as a page does that has put a tool's result into its messages. */
  submit: ({ chat }) => begin(chat, (it) => it.sendMessage()),
  regenerate: ({ chat, messageId }) => begin(chat, (it) => it.regenerate({ messageId })),
  resume: ({ chat }) => begin(chat, (it) => it.resumeStream()),
  stop: ({ chat }) => chats.get(chat).chat.stop(),
  tool({ chat, ...result }) {
    const it = chats.get(chat).chat;
    return begin(chat, () => (it.addToolOutput ?? it.addToolResult).call(it, result));
  },
  /** Wait for the end of what was begun. */
  async settled({ chat }) {
    const { doing } = chats.get(chat);
    await doing;
    return look(chat);
  },
  look: ({ chat }) => look(chat),
};

/** Begin something that lasts; its failure is told by the chat's status. */
function begin(name, start) {
  const kept = chats.get(name);
  kept.doing = Promise.resolve(start(kept.chat)).catch((error) => (kept.thrown = String(error)));
}

function look(name) {
  const { chat, requests, finishes, data, states, thrown } = chats.get(name);
  const error = chat.error === undefined ? null : chat.error.message;
  return { status: chat.status, error, thrown, messages: chat.messages, requests, finishes, data, states };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { number, command, ...args } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](args))
    .then(
      (value) => ({ value: value ?? null }),
      (error) => ({ error: String(error?.stack ?? error) }),
    )
    .then((answer) => process.stdout.write(`${JSON.stringify({ number, ...answer })}\n`));
}
