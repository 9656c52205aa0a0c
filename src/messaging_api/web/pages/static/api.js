// The service over HTTP. Whatever goes wrong is a Failure, which can be told in plain words.

import { say } from "./page.js";

const KINDS = { 400: "invalid", 401: "token", 404: "missing", 413: "tooLong", 422: "invalid", 429: "tooOften", 503: "busy", 507: "full" };

export class Failure extends Error {
  /** `kind` is a key of the words "problems", or "missing"; `wait` the seconds after which trying again makes sense. */
  constructor(kind, wait = 0, detail = "") {
    super(kind);
    this.kind = kind;
    this.wait = wait;
    this.detail = detail;
  }
}

/** A response with status 200. Throws Failure. */
export async function ask(method, address, headers = {}, body = undefined) {
  const options = { method, headers: { Accept: "application/json", ...headers }, body, cache: "no-store", redirect: "error" };
  const response = await fetch(address, options).catch(() => { throw new Failure("offline"); });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const wait = Math.max(1, parseInt(response.headers.get("Retry-After"), 10) || 1);
  throw new Failure(KINDS[response.status] ?? "unexpected", wait, problem.detail);
}

/** The JSON of a response, or a Failure when the connection breaks on the way. */
export const json = (response) => response.json().catch(() => { throw new Failure("offline"); });

/** Tells a Failure in `place`, and there again when the time to wait is over. */
export function tell(place, failure) {
  const text = say(`problems.${failure.kind}`, { n: failure.wait, detail: failure.detail });
  place.textContent = text;
  if (failure.kind !== "busy" && failure.kind !== "tooOften") return;
  setTimeout(() => {
    if (place.textContent === text) place.textContent = say("problems.now");
  }, failure.wait * 1000);
}
