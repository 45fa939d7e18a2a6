/** What ends the following of an answer before the answer's own end. */

/**
 * Why an answer could not be followed to its end:
 *
 * - `not_found`: there is no such stream, or it is not yours to read (404).
 * - `expired`: the stream has outlived its retention (410).
 * - `forbidden`: the server wants to know who asks (401), or refuses (403).
 * - `refused`: any other answer that asking again cannot change.
 * - `gave_up`: nothing was heard for too long. The answer may still go on.
 * - `deadline`: your own deadline has passed. The answer may still go on.
 */
export type FollowErrorCode = "not_found" | "expired" | "forbidden" | "refused" | "gave_up" | "deadline";

/** An answer could not be followed to its end. */
export class FollowError extends Error {
  override readonly name = "FollowError";
  /** Why. */
  readonly code: FollowErrorCode;
  /** The HTTP status that ended it, if one did. */
  readonly status: number | undefined;
  /** Where to go on from; undefined if nothing was read. */
  readonly cursor: string | undefined;

  constructor(
    code: FollowErrorCode,
    message: string,
    place: { status?: number | undefined; cursor?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, place.cause === undefined ? undefined : { cause: place.cause });
    this.code = code;
    this.status = place.status;
    this.cursor = place.cursor;
  }
}

/** One connection came to nothing; another one may help. */
export class Lost extends Error {
  override readonly name = "Lost";
  /** How long the server asked to wait, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.retryAfterMs = retryAfterMs;
  }
}

/** Statuses that say "not now". */
const LATER = new Set([408, 425, 429]);

/** Whether a status says that asking again may help. */
export function isTransient(status: number): boolean {
  return status >= 500 || LATER.has(status);
}

/**
 * What a response that is not the stream means.
 *
 * @returns The error to stop with, or a `Lost` where another connection may help.
 */
export async function refusal(response: Response, cursor: string | undefined, now: number): Promise<FollowError | Lost> {
  const status = response.status;
  if (isTransient(status)) return new Lost(`the server answered ${status}`, retryAfterMs(response.headers, now));
  const place = { status, cursor };
  switch (status) {
    case 404:
      return new FollowError("not_found", "There is no such stream, or it is not yours to read.", place);
    case 410:
      return new FollowError("expired", "The stream has expired: its retention is over.", place);
    case 401:
    case 403:
      return new FollowError("forbidden", `The server refused to show the stream (${status}): sign in again.`, place);
    case 200:
      return new FollowError("refused", "The response is no event stream: check the URL.", place);
    default:
      return new FollowError("refused", `The server refused the request (${status}). ${await said(response)}`.trim(), place);
  }
}

/** What a server of the contract says to a refusal (rule W1 of the protocol), or nothing. */
export async function said(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    const error = typeof body === "object" && body !== null && "error" in body ? body.error : undefined;
    const message = typeof error === "object" && error !== null && "message" in error ? error.message : undefined;
    return typeof message === "string" ? message : "";
  } catch {
    return "";
  }
}

/** What a `Retry-After` header asks for, in ms from now (RFC 9110, section 10.2.3). */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  if (/^[0-9]{1,9}$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
