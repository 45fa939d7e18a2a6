/** Follow Holdfast's answers over any number of connections. */

export { AnswerStore, isLive, type AnswerOptions, type AnswerStatus, type AnswerView, type Memory, type Remembered } from "./answer.js";
export { textOf, type UIChunk, type Writer } from "./chunks.js";
export { FollowError, type FollowErrorCode } from "./errors.js";
export { followFetch, type FollowFetchOptions } from "./fetch.js";
export { pageMemory } from "./memory.js";
export type { FollowOptions, FollowState, HeadersSource } from "./options.js";
export { EventDecoder, EventTooLong, type ServerSentEvent } from "./sse.js";
export { followStream, stopStream, type FollowStreamOptions, type StopOptions } from "./stream.js";
export { systemTime, type Surroundings, type Time } from "./time.js";
