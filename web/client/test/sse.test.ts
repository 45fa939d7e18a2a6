/** The decoder: whatever the network makes of the bytes, the events are the same. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventDecoder, EventTooLong, type ServerSentEvent } from "../src/sse.js";

const utf8 = new TextEncoder();

function decode(pieces: Iterable<Uint8Array>, lastId = ""): ServerSentEvent[] {
  const decoder = new EventDecoder(lastId);
  return [...pieces].flatMap((piece) => decoder.feed(piece));
}

/** Every kind of line and of line end that the standard knows. */
const SAMPLE = utf8.encode(
  "\uFEFF:heart\nid: 1-1\ndata: first\n\n" +
    "id:1-2\r\ndata:  two spaces\r\ndata\r\ndata: ü€🪢\r\n\r\n" +
    "retry: 250\r: beat\rdata: carriage\rid: 1-3\r\r" +
    "event: other\ndata: named\nid: with\0nul\n\n" +
    "unknown: field\n\nid: 1-4\n\ndata: after an id alone\n\n" +
    "data: never dispatched\n",
);

const EXPECTED: ServerSentEvent[] = [
  { data: "first", event: "message", lastId: "1-1", ownId: true },
  { data: " two spaces\n\nü€🪢", event: "message", lastId: "1-2", ownId: true },
  { data: "carriage", event: "message", lastId: "1-3", ownId: true },
  { data: "named", event: "other", lastId: "1-3", ownId: false },
  { data: "after an id alone", event: "message", lastId: "1-4", ownId: false },
];

test("a body in one piece", () => {
  assert.deepEqual(decode([SAMPLE]), EXPECTED);
});

test("a body split into two anywhere is the same, inside characters and between CR and LF too", () => {
  for (let at = 0; at <= SAMPLE.length; at += 1) {
    assert.deepEqual(decode([SAMPLE.slice(0, at), SAMPLE.slice(at)]), EXPECTED, `split at ${at}`);
  }
});

test("a body byte by byte, with empty pieces between, is the same", () => {
  const pieces = [...SAMPLE].flatMap((byte) => [Uint8Array.of(byte), new Uint8Array()]);
  assert.deepEqual(decode(pieces), EXPECTED);
});

test("a body in three pieces around every line end is the same", () => {
  for (let at = 1; at < SAMPLE.length - 1; at += 1) {
    if (SAMPLE[at] !== 10 && SAMPLE[at] !== 13) continue;
    const pieces = [SAMPLE.slice(0, at), SAMPLE.slice(at, at + 1), SAMPLE.slice(at + 1)];
    assert.deepEqual(decode(pieces), EXPECTED, `around ${at}`);
  }
});

test("an event without an id belongs to the one that the body resumes from", () => {
  assert.deepEqual(decode([utf8.encode("data: x\n\n")], "7-7"), [
    { data: "x", event: "message", lastId: "7-7", ownId: false },
  ]);
});

test("comments are counted, and retry is taken only as digits", () => {
  const decoder = new EventDecoder();
  decoder.feed(utf8.encode(":\n: beat\nretry: 1s\nretry: -5\nretry:\n"));
  assert.equal(decoder.comments, 2);
  assert.equal(decoder.retryMs, undefined);
  decoder.feed(utf8.encode("retry: 30\nretry: 99999999999999999999\n"));
  assert.equal(decoder.retryMs, 999_999_999);
});

test("an event that is too long is refused while it comes, on one line or on many", () => {
  const one = new EventDecoder("", 100);
  assert.throws(() => one.feed(utf8.encode(`data: ${"x".repeat(200)}`)), EventTooLong);
  const many = new EventDecoder("", 100);
  assert.throws(() => many.feed(utf8.encode("data: 0123456789\n".repeat(11))), EventTooLong);
  const enough = new EventDecoder("", 100);
  assert.equal(enough.feed(utf8.encode("data: 0123456789\n\n".repeat(50))).length, 50);
});

test("what is no UTF-8 is replaced and ends nothing", () => {
  const events = decode([Uint8Array.of(...utf8.encode("data: a"), 0xff, 0xfe, ...utf8.encode("b\n\n"))]);
  assert.equal(events[0]?.data, "a\uFFFD\uFFFDb");
});
