import { randomUUID } from "node:crypto";
import { cookies } from "next/headers";
import { redirect } from "next/navigation";
import { Chat } from "./chat";

// The conversation's id stands in the URL: a reload, or a link of one's own, comes back to it.
export default async function Page({ searchParams }: { searchParams: Promise<{ id?: string }> }) {
  const { id } = await searchParams;
  if (!id) redirect(`/?id=${randomUUID()}`);
  const url = `${process.env.HOLDFAST_URL}/api/chat/${encodeURIComponent(id)}`;
  // Whose conversation it is, Holdfast's own cookie says.
  const response = await fetch(url, { headers: { cookie: (await cookies()).toString() }, cache: "no-store" });
  if (!response.ok && response.status !== 404) throw new Error(`Holdfast answered ${response.status}.`);
  const { messages } = response.ok ? await response.json() : { messages: [] };
  return <Chat key={id} id={id} messages={messages} />;
}
