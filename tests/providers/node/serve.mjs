// A provider that nobody here wrote: @copilotkit/aimock, with one answer that it gives, cuts, or goes on with.
import { LLMock } from "@copilotkit/aimock";

const text = process.argv[2];
const mock = new LLMock({ port: 0, chunkSize: 9, logLevel: "silent" });

/** The first question of a conversation. */
const asked = (req) => {
  const content = req.messages.find((message) => message.role === "user")?.content ?? "";
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
};
/** What the assistant has said of the answer so far. */
const said = (req) => {
  const content = req.messages.findLast((message) => message.role === "assistant")?.content ?? "";
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
};
const first = (word) => ({ predicate: (req) => asked(req).includes(word) && said(req) === "" });

mock.addFixture({ match: first("cut"), response: { content: text }, latency: 5, truncateAfterChunks: 7 });
mock.addFixture({ match: first("drop"), response: { content: text }, latency: 20, disconnectAfterMs: 130 });
mock.addFixture({ match: first("think"), response: { content: text, reasoning: "Let me see. It is so." } });
mock.addFixture({
  match: first("weather"),
  response: { content: text, toolCalls: [{ name: "get_weather", arguments: JSON.stringify({ city: "Zürich", days: 3 }) }] },
});
mock.addFixture({
  match: first("limit"),
  response: { error: { message: "Slow down", type: "rate_limit_error" }, status: 429, retryAfter: 3 },
});
mock.addFixture({ match: first("quiet"), response: { content: text }, openRouterProcessing: true });
// The rest of the answer, for whoever brings a part of it; one who repeats begins some words earlier.
mock.addFixture({
  match: { predicate: (req) => said(req) !== "" && text.startsWith(said(req)) },
  response: (req) => {
    const from = said(req).length;
    if (!asked(req).includes("repeat")) return { content: text.slice(from) };
    return { content: text.slice(Math.max(from - 30, 0)).trimStart() };
  },
});
mock.addFixture({ match: { predicate: () => true }, response: { content: text } });

await mock.start();
console.log(`listening on ${mock.url}`);
process.stdin.on("end", () => mock.stop().then(() => process.exit(0))).resume();
