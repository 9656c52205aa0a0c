// The page at /msg/<id>. It explains what will happen, and reads the message only when Reveal is pressed.

import { ask, tell } from "./api.js";
import { able, key, open, Unopened } from "./encryption.js";
import { $, copies, limits, once, painted, say, when } from "./page.js";
import { isInterrupted, isResumable, takeMessage } from "./resume.js";

const fragment = location.hash.slice(1);
let expected = null; // when the message expires, if it existed when the page was opened
let fetched = null; // the response, kept because a wrong password must not cost another read

function left(reads) {
  if (reads === null) return say("reader.unlimited");
  return reads === 1 ? say("reader.once") : say("reader.times", { n: reads });
}

function end(text) {
  $("what").textContent = text;
  $("facts").textContent = "";
  $("form").hidden = $("no-key").hidden = true;
}

/** Look up the message without reading it: HEAD does not count as a read. */
async function look() {
  try {
    const { headers } = await ask("HEAD", location.pathname);
    expected = headers.get("X-Expires-At");
    const reads = headers.get("X-Reads-Left");
    $("what").textContent = left(reads === null ? null : Number(reads));
    $("facts").textContent = say("reader.expires", { when: when(expected) });
  } catch (failure) {
    if (failure.kind === "missing") return end(say("reader.gone"));
    $("what").textContent = say("reader.unknown");
    tell($("status"), failure);
  }
}

/** Return the text for a message that is gone; `interrupted` if a read of this tab broke off before. */
function missing(interrupted) {
  if (expected && Date.parse(expected) <= Date.now()) return "reader.expired";
  if (interrupted) return "reader.interrupted";
  return expected ? "reader.taken" : "reader.gone";
}

async function fetchMessage() {
  const before = isInterrupted();
  try {
    return await takeMessage(() => { $("status").textContent = say("reader.again"); });
  } catch (failure) {
    if (failure.kind === "missing") end(say(missing(before)));
    else if (isInterrupted()) $("status").textContent = say(limits.resume_seconds ? "reader.kept" : "reader.lost");
    else tell($("status"), failure);
    return null;
  }
}

function need(field, text) {
  $("reveal").textContent = say("reader.decrypt");
  field.parentElement.hidden = false;
  $("status").textContent = text;
  field.focus();
}

async function reveal() {
  $("status").textContent = "";
  if (!$("ask-password").hidden && !$("password").value) return need($("password"), say("reader.passwordMissing"));
  fetched ??= await fetchMessage();
  if (!fetched) return undefined;
  $("reveal").textContent = say("reader.working");
  await painted();
  try {
    $("status").textContent = "";
    return present(await open(fetched.message, usedKey(), $("password").value));
  } catch (failure) {
    if (!(failure instanceof Unopened)) throw failure;
    return explain(failure.reason);
  }
}

/** Return the key of the link, or of the link that was pasted because the first had none. */
const usedKey = () => key($("ask-key").hidden ? fragment : $("key").value.trim().replace(/^.*#/, ""));

const ENDS = {
  "bad-link": "brokenLink",
  "not-an-envelope": "notEncrypted",
  "unknown-version": "newer",
  "wrong-password": "damaged",
  unable: "unable",
};

function explain(reason) {
  const pasted = !$("ask-key").hidden;
  if (reason === "key-missing") return need($("key"), say("reader.keyMissing"));
  if (reason === "password-missing") return need($("password"), say("reader.passwordMissing"));
  if (reason === "wrong-password" && !$("ask-password").hidden) return need($("password"), say("reader.wrongPassword"));
  if (pasted) return need($("key"), say("reader.wrongKey"));
  return end(say(`reader.${ENDS[reason]}`));
}

/** Put each field of the message into the element that names it, and hide the elements of absent fields. */
function fill(fields) {
  for (const element of document.querySelectorAll("[data-field]")) {
    const value = fields[element.dataset.field] ?? null;
    element.textContent = value;
    element.hidden = value === null;
  }
}

function present(text) {
  const { reads_left: reads, expires_at: expires } = fetched;
  fill({ ...fetched, message: text });
  const words = { null: "reader.leftUnlimited", 0: "reader.leftNone" }[reads] ?? "reader.left";
  $("left").textContent = say(words, { n: reads, when: when(expires) });
  $("before").hidden = true;
  $("after").hidden = false;
  $("shown").focus();
}

const press = once($("reveal"), reveal);
$("form").addEventListener("submit", press);
copies($("copy"), $("text"), $("copied"), "reader");
addEventListener("hashchange", () => location.reload());
$("no-key").hidden = fragment !== "";
try {
  $("ask-password").hidden = !key(fragment)?.locked;
  if (fragment && !able) throw new Unopened("unable");
  if (isResumable()) {
    $("what").textContent = say("reader.unknown");
    press();
  } else look();
} catch (failure) {
  explain(failure.reason);
}
$("before").classList.remove("waiting");
