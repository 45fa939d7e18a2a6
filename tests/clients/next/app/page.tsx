"use client";

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { followFetch } from "holdfast-client";
import { useHoldfast } from "holdfast-client/react";
import { useEffect, useState } from "react";

/** Tell the test what came. */
function report(told: object): void {
  void fetch("/__report", { method: "POST", body: JSON.stringify(told) });
}

/** A chat of the AI SDK that asks what the URL says, once. */
function Chat({ ask }: { ask: string }) {
  const [phases] = useState<string[]>([]);
  const [transport] = useState(
    () => new DefaultChatTransport({ api: "/api/chat", fetch: followFetch({ onState: (state) => phases.push(state.phase) }) }),
  );
  const { messages, sendMessage, status, error } = useChat({ transport });
  useEffect(() => void sendMessage({ text: ask }), [ask, sendMessage]);
  const parts = messages.at(-1)?.role === "assistant" ? messages.at(-1)?.parts : undefined;
  const text = (parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
  useEffect(() => {
    if (status === "error" || (status === "ready" && text !== "")) report({ status, text, phases, error: error?.message });
  }, [status, text, phases, error]);
  return <p>{text}</p>;
}

/** An answer without the AI SDK, whose page is loaded anew in the middle of it. */
function Answer({ ask }: { ask: string }) {
  const { text, status, id, send, isLive } = useHoldfast();
  useEffect(() => {
    if (!new URL(location.href).searchParams.has("stream")) void send(ask);
  }, [ask, send]);
  useEffect(() => {
    if (isLive && text.length > 100 && sessionStorage.getItem("first") === null) {
      sessionStorage.setItem("first", text);
      location.reload();
    }
    if (status === "finished" || status === "failed") report({ status, text, id, first: sessionStorage.getItem("first") });
  }, [status, text, id, isLive]);
  return <p>{text}</p>;
}

export default function Page() {
  const [query, setQuery] = useState<URLSearchParams>();
  useEffect(() => setQuery(new URLSearchParams(location.search)), []);
  const ask = query?.get("ask");
  if (query === undefined || ask == null) return null;
  return query.get("with") === "chat" ? <Chat ask={ask} /> : <Answer ask={ask} />;
}
