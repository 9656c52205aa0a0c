// The page at /: write a message, get a link.

import { ask, Failure, json, tell } from "./api.js";
import { offerChoices, recall, remember } from "./choices.js";
import { able, longest, passphrase, seal, token } from "./encryption.js";
import { $, asksBeforeLeaving, limits, once, painted, say, size } from "./page.js";
import { hideResult, isLinkKept, offerResult, showResult } from "./result.js";

const form = $("form");
const message = $("message");
const send = $("send");
message.autocomplete = "off"; // without this script, going back from an error restores the text
let pending = null; // a request without a response: a retry with its key creates no second message

const room = () => ($("encrypt").checked ? longest(limits.max_message_bytes) : limits.max_message_bytes);

function checkSize() {
  const used = new TextEncoder().encode(message.value).length;
  const most = room();
  const words = used > most * 0.8 ? "write.full" : "write.room";
  const text = say(words, { n: Math.floor((100 * used) / most), size: size(most) });
  if ($("room").textContent !== text) $("room").textContent = text;
  message.setCustomValidity(used > most ? say("write.tooLong", { size: size(used - most) }) : "");
}

function chooseEncryption() {
  for (const id of ["password", "show-password", "generate"]) $(id).disabled = !$("encrypt").checked;
  checkSize();
}

const CONVERSIONS = {
  "datetime-local": (value) => new Date(value).toISOString(),
  number: Number,
  "select-one": Number,
};

/** Return the fields of the request by name: those of the form that are enabled and filled in. */
function fields() {
  const filled = [...form.elements].filter(({ name, disabled, value }) => name && !disabled && value);
  return Object.fromEntries(filled.map(({ name, type, value }) => [name, CONVERSIONS[type]?.(value) ?? value]));
}

async function prepare() {
  const password = $("encrypt").checked ? $("password").value : "";
  const { envelope, fragment } = $("encrypt").checked
    ? await seal(message.value, password)
    : { envelope: message.value, fragment: "" };
  return { body: JSON.stringify({ ...fields(), message: envelope }), fragment, key: token(), password };
}

async function post() {
  $("status").textContent = "";
  send.textContent = say("write.working");
  try {
    await painted();
    pending ??= await prepare();
    const headers = { "Content-Type": "application/json", "Idempotency-Key": pending.key };
    const given = $("token").value.trim();
    if (given) headers.Authorization = `Bearer ${given}`;
    const posted = await json(await ask("POST", form.action, headers, pending.body));
    const sent = pending;
    pending = null;
    remember();
    form.reset();
    keepToken(given);
    await showResult(posted, sent);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    tell($("status"), failure);
    if (failure.kind === "token") askToken();
  } finally {
    send.textContent = say("write.send");
  }
}

/** Keep the token for this tab. */
function keepToken(value) {
  $("token").value = value;
  try {
    if (value) sessionStorage.setItem("token", value);
    else $("token").value = sessionStorage.getItem("token");
  } catch {
    // without storage, reloading the page forgets the token
  }
}

function askToken() {
  if ($("token").value) $("status").textContent = say("write.wrongToken");
  $("ask-token").hidden = false;
  $("token").focus();
}

function writeAnother() {
  hideResult();
  recall();
  showPassword(false);
  chooseEncryption();
  message.focus();
}

function showPassword(show) {
  $("password").type = show ? "text" : "password";
  $("show-password").setAttribute("aria-pressed", String(show));
}

if (!able) {
  $("encrypt").defaultChecked = false;
  $("encrypt").disabled = true;
  $("safety").hidden = false;
}
offerChoices();
offerResult();
keepToken("");
asksBeforeLeaving(() => !isLinkKept() || message.value !== "");
form.addEventListener("input", ({ target }) => { if (target.id !== "token") pending = null; });
form.addEventListener("submit", once(send, post));
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
message.addEventListener("input", checkSize);
$("again").addEventListener("click", writeAnother);
$("encrypt").addEventListener("change", chooseEncryption);
$("show-password").addEventListener("click", () => showPassword($("password").type === "password"));
$("generate").addEventListener("click", () => {
  $("password").value = passphrase();
  pending = null;
  showPassword(true);
});
chooseEncryption();
send.disabled = false;
