// Reads that can be repeated: for a while the server returns the same response to the same key, which this tab keeps.

import { ask, json } from "./api.js";
import { token } from "./encryption.js";
import { limits } from "./page.js";

const slot = `read ${location.pathname}`;
const pauses = [500, 1500]; // ms before each further attempt
const valid = limits.resume_seconds * 800; // ms: four fifths, because an attempt after the time spends another read

/** The read of this tab: its key, when it began (ms since the epoch), and whether the message `arrived` or was `lost`. */
let current = load();

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(slot));
  } catch {
    return null; // without storage, reloading the page does not show the message again
  }
}

function save(read) {
  current = read;
  try {
    sessionStorage.setItem(slot, JSON.stringify(read));
  } catch {
    // as in load
  }
}

const remaining = () => (current === null ? 0 : current.begin + valid - Date.now());
const isValid = () => remaining() > 0;

/** Return whether this tab began a read a moment ago, so that its message can be shown without spending another. */
export const isResumable = isValid;

/** Return whether a read of this tab may have been spent without a response. */
export const isInterrupted = () => current?.state === "lost";

/** Return the message. An attempt without a response is repeated after `onPause` was called. Throws Failure. */
export async function takeMessage(onPause) {
  if (!isValid()) save({ key: token(), begin: Date.now(), state: "begun" });
  const headers = limits.resume_seconds ? { "Idempotency-Key": current.key } : {};
  for (let attempt = 0; ; attempt++) {
    try {
      const message = await json(await ask("GET", location.pathname, headers, undefined, limits.resume_seconds ? Math.max(1, remaining()) : 0));
      save({ ...current, state: "arrived" });
      return message;
    } catch (failure) {
      const lost = failure.kind === "offline" || failure.kind === "unknown";
      if (lost) save({ ...current, state: "lost" });
      if (!lost || !limits.resume_seconds || attempt === pauses.length) throw failure;
      onPause();
      await new Promise((resolve) => setTimeout(resolve, pauses[attempt]));
      if (!isValid()) throw failure; // the tab may have been frozen meanwhile
    }
  }
}
