// Requests to the service. Every error is a Failure, which the page can explain to its user.

import { say } from "./page.js";

const KINDS = { 400: "invalid", 401: "token", 404: "missing", 413: "tooLong", 422: "invalid", 429: "tooOften", 502: "unknown", 503: "busy", 504: "unknown", 507: "full" };

export class Failure extends Error {
  /** `kind` is "missing" or a key of the texts in "problems"; `wait` the seconds until a retry makes sense. */
  constructor(kind, wait = 0, detail = "") {
    super(kind);
    this.kind = kind;
    this.wait = wait;
    this.detail = detail;
  }
}

/** Return a response with status 200, within `milliseconds` (0: no limit). Throws Failure. */
export async function ask(method, address, headers = {}, body = undefined, milliseconds = 0) {
  const signal = milliseconds ? AbortSignal.timeout(milliseconds) : undefined;
  const options = { method, headers: { Accept: "application/json", ...headers }, body, signal, cache: "no-store", redirect: "error" };
  const response = await fetch(address, options).catch(() => { throw new Failure("offline"); });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const wait = Math.max(1, parseInt(response.headers.get("Retry-After"), 10) || 1);
  throw new Failure(KINDS[response.status] ?? "unexpected", wait, problem.detail);
}

/** Return the JSON of a response. Throws Failure if the connection breaks. */
export const json = (response) => response.json().catch(() => { throw new Failure("offline"); });

/** Show a Failure in `place`, and update it there when a retry makes sense. */
export function tell(place, failure) {
  const text = say(`problems.${failure.kind}`, { n: failure.wait, detail: failure.detail });
  place.textContent = text;
  if (failure.kind !== "busy" && failure.kind !== "tooOften") return;
  setTimeout(() => {
    if (place.textContent === text) place.textContent = say("problems.now");
  }, failure.wait * 1000);
}
