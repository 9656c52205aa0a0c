// The page at /msg/<id>. It explains what will happen, and reads the message only when its reader asks for it.

import { ask, tell } from "./api.js";
import { able, key, open, Unopened } from "./encryption.js";
import { BadLink, findLink } from "./links.js";
import { $, asksBeforeLeaving, copies, limits, once, painted, saveFile, say, when } from "./page.js";
import { linkAddresses } from "./text.js";
import { isInterrupted, isResumable, takeMessage } from "./resume.js";

let fragment = repaired();
let left; // reads left when the page was opened: null if unlimited, undefined if that is not known
let expected = null; // when the message expires, if it existed when the page was opened
let fetched = null; // the response, kept until it opens: it may be the only copy
let isPlain = false; // whether the reader said that the link has no key
let isKept = false; // whether the reader has the text or the envelope elsewhere

/** Repair the address, which a program may have altered (docs/encryption.md), and return the key in it. */
function repaired() {
  try {
    const link = findLink(location.href);
    const path = new URL(link.address).pathname;
    if (path !== location.pathname) history.replaceState(null, "", `${path}${location.search}#${link.fragment}`);
    return link.fragment;
  } catch (failure) {
    if (!(failure instanceof BadLink)) throw failure;
    return location.hash.slice(1);
  }
}

function end(text) {
  $("what").textContent = text;
  $("heading").textContent = say("reader.nothing");
  $("facts").hidden = $("form").hidden = true;
}

/** Look up the message without reading it: HEAD does not count as a read. */
async function look() {
  try {
    const { headers } = await ask("HEAD", location.pathname);
    expected = headers.get("X-Expires-At");
    const reads = headers.get("X-Reads-Left");
    left = reads === null ? null : Number(reads);
    const words = { null: "reader.unlimited", 1: "reader.once" }[left] ?? "reader.times";
    $("what").textContent = say(words, { n: left });
    $("facts").textContent = say("reader.expires", { when: when(expected) });
  } catch (failure) {
    if (failure.kind === "missing") return end(say("reader.gone"));
    $("what").textContent = say("reader.unknown");
    tell($("status"), failure);
  }
}

/** Whether a read may be spent without the key that the message needs. */
const isRisky = () => !fragment && !fetched && left !== null;

/** Show what the link lacks, and ask for it. */
function describe() {
  const { found, reason } = parsed(fragment);
  const advice = !able && (fragment || isRisky()) ? "unable" : reason ? "brokenLink" : isRisky() ? "noKey" : null;
  $("advice").textContent = advice && (advice === "brokenLink" ? withOutcome(advice) : say(`reader.${advice}`));
  $("advice").hidden = !advice;
  $("ask-key").hidden = advice === null || advice === "unable";
  $("ask-password").hidden = !found?.locked;
  $("reveal").hidden = advice === "unable";
  $("without-key").hidden = !isRisky();
}

/** Return a text about a link, and that nothing was read, if that is so. */
const withOutcome = (name) => (fetched ? say(`reader.${name}`) : `${say(`reader.${name}`)} ${say("reader.nothingRead")}`);

/** Return the key that was `found`, or the `reason` why it cannot be one. */
function parsed(text) {
  try {
    return { found: key(text) };
  } catch (failure) {
    return { reason: failure.reason };
  }
}

/** Return the key of the pasted link, else of the link; null without one. Throws Unopened. */
function usedKey() {
  const pasted = $("ask-key").hidden ? "" : $("key").value.trim();
  if (!pasted) return key(fragment);
  if (!pasted.includes("/")) return key(pasted.replace(/^.*#/, ""));
  const { address, fragment: part } = pastedLink(pasted);
  if (!address.endsWith(location.pathname.slice(-37))) throw new Unopened("other-link");
  if (!part) throw new Unopened("bad-link");
  return key(part);
}

function pastedLink(text) {
  try {
    return findLink(text);
  } catch (failure) {
    throw failure instanceof BadLink ? new Unopened("bad-link") : failure;
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
  field.parentElement.hidden = false;
  $("status").textContent = text;
  field.focus();
}

async function reveal() {
  $("status").textContent = "";
  try {
    const used = usedKey();
    if ((used?.locked || !$("ask-password").hidden) && !$("password").value) throw new Unopened("password-missing");
    if (!used && isRisky() && !isPlain && !isResumable()) return need($("key"), say("reader.pasteFirst"));
    fetched ??= await fetchMessage();
    if (!fetched) return undefined;
    $("reveal").textContent = say("reader.working");
    await painted();
    $("status").textContent = "";
    return present(await open(fetched.message, used, $("password").value));
  } catch (failure) {
    if (!(failure instanceof Unopened)) throw failure;
    return explain(failure.reason);
  }
}

const EXPLANATIONS = {
  "bad-link": "brokenLink",
  "other-link": "otherLink",
  "key-missing": "keyMissing",
  "not-an-envelope": "notEncrypted",
  "unknown-version": "newer",
  unable: "unable",
};

/** Show why the message does not open, and ask for what may be wrong. What was fetched stays in the page. */
function explain(reason) {
  $("reveal").textContent = say(fetched ? "reader.decrypt" : "reader.reveal");
  $("save-fetched").hidden = !fetched;
  $("without-key").hidden = $("advice").hidden = true;
  if (reason === "password-missing") return need($("password"), say("reader.passwordMissing"));
  $("ask-key").hidden = false;
  if (reason.endsWith("-link")) return need($("key"), withOutcome(EXPLANATIONS[reason]));
  if (reason !== "wrong-password") return need($("key"), say(`reader.${EXPLANATIONS[reason]}`));
  if (!$("ask-password").hidden) return need($("password"), say("reader.wrongPassword"));
  return need($("key"), say($("key").value ? "reader.wrongKey" : "reader.damaged"));
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
  linkAddresses();
  const words = { null: "reader.leftUnlimited", 0: "reader.leftNone" }[reads] ?? "reader.left";
  $("left").textContent = say(words, { n: reads, when: when(expires) });
  $("before").hidden = true;
  $("after").hidden = false;
  $("heading").textContent = say("reader.shown");
  $("heading").focus();
}

const keep = () => { isKept = true; };
const press = once($("reveal"), reveal);
$("form").addEventListener("submit", press);
$("without-key").addEventListener("click", () => {
  isPlain = true;
  press();
});
$("save-fetched").addEventListener("click", () => {
  saveFile(fetched.message, "message.envelope");
  keep();
});
$("save").addEventListener("click", () => {
  saveFile($("text").textContent, "message.txt");
  keep();
});
copies($("copy"), () => $("text").textContent, $("text"), $("copied"), keep);
asksBeforeLeaving(() => fetched?.reads_left === 0 && !isKept);
addEventListener("hashchange", () => {
  fragment = repaired();
  $("key").value = "";
  isPlain = false;
  describe();
  if (fetched && $("after").hidden) press();
});
if (!isResumable()) await look();
describe();
$("form").classList.remove("waiting");
if (isResumable()) press();
