"use client";

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage } from "ai";
import { followFetch } from "holdfast-client";

// Follows an answer over any number of connections; without it, the first connection's end would be the answer's.
const transport = new DefaultChatTransport({ api: "/api/chat", fetch: followFetch() });

export function Chat({ id, messages: loaded }: { id: string; messages: UIMessage[] }) {
  // `resume` asks for the answer that is being written, if there is one.
  const { messages, sendMessage, status, error } = useChat({ id, messages: loaded, transport, resume: true });
  return (
    <main>
      {messages.map(({ id, role, parts }) => (
        <p key={id} className={role}>
          {parts.map((part) => (part.type === "text" ? part.text : ""))}
        </p>
      ))}
      <form action={(form) => void sendMessage({ text: String(form.get("prompt")) })}>
        <input name="prompt" aria-label="Question" defaultValue="Why do knots hold?" />
        <button disabled={status !== "ready"}>Ask</button>
      </form>
      {error && <p role="alert">{error.message}</p>}
    </main>
  );
}
