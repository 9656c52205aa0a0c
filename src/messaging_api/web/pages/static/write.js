// The page at /: write a message, get a link.

import { ask, Failure, json, tell } from "./api.js";
import { able, longest, seal, token } from "./encryption.js";
import { $, asksBeforeLeaving, copies, limits, once, painted, say, when } from "./page.js";

const form = $("form");
const message = $("message");
const send = $("send");
let isKept = false; // whether the link was copied
let pending = null; // a request without a response: a retry with its key creates no second message

const size = () => new TextEncoder().encode(message.value).length;
const room = () => ($("encrypt").checked ? longest(limits.max_message_bytes) : limits.max_message_bytes);

function checkSize() {
  const used = size();
  const values = { n: used, most: room() };
  const text = used > room() * 0.8 ? say("write.full", values) : say("write.room", { n: room() });
  if ($("room").textContent !== text) $("room").textContent = text;
  message.setCustomValidity(used > room() ? say("write.tooLong", values) : "");
}

function chooseEncryption() {
  $("password").disabled = $("show-password").disabled = !$("encrypt").checked;
  checkSize();
}

function local(milliseconds) {
  const moment = new Date(milliseconds);
  return new Date(milliseconds - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Add the choice `text` to `select`; while it is chosen, `field` takes the value instead. */
function offerMore(select, text, field) {
  const more = new Option(text, "");
  select.append(more);
  select.addEventListener("change", () => {
    for (const element of [field, field.previousElementSibling]) element.hidden = !more.selected;
    field.required = more.selected;
    field.disabled = !more.selected;
    if (more.selected) field.focus();
  });
}

function offerChoices() {
  offerMore($("reads"), say("write.aNumber"), $("number"));
  $("reads").append(new Option(say("write.unlimited"), ""));
  offerMore($("life"), say("write.aDate"), $("date"));
  const now = Date.now();
  $("date").min = local(now + 60_000);
  $("date").max = local(now + limits.max_ttl * 1000);
  $("date").value = local(now + Math.min(limits.max_ttl, 2 * 86_400) * 1000 - 60_000);
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
  const body = JSON.stringify({ ...fields(), message: envelope });
  return { body, fragment, key: token(), locked: password !== "" };
}

async function post() {
  $("status").textContent = "";
  send.textContent = say("write.working");
  try {
    await painted();
    pending ??= await prepare();
    const headers = { "Content-Type": "application/json", "Idempotency-Key": pending.key };
    if ($("token").value) headers.Authorization = `Bearer ${$("token").value.trim()}`;
    const posted = await json(await ask("POST", form.action, headers, pending.body));
    await present(posted, pending);
    pending = null;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    tell($("status"), failure);
    if (failure.kind === "token") askToken();
  } finally {
    send.textContent = say("write.send");
  }
}

function askToken() {
  $("ask-token").hidden = false;
  $("token").focus();
}

function facts(posted, { fragment, locked }) {
  const reads = { null: "write.factUnlimited", 1: "write.factOnce" }[posted.reads] ?? "write.factTimes";
  const safety = locked ? "write.factPassword" : fragment ? "write.factEncrypted" : "write.factPlain";
  return [say(reads, { n: posted.reads }), say("write.factExpires", { when: when(posted.expires_at) }), say(safety)];
}

async function present(posted, sent) {
  const link = posted.url + (sent.fragment && `#${sent.fragment}`);
  isKept = false;
  $("link").value = link;
  $("receipt").href = $("receipt").textContent = posted.receipt;
  $("facts").replaceChildren(...facts(posted, sent).map((fact) => {
    const item = document.createElement("li");
    item.textContent = fact;
    return item;
  }));
  form.reset();
  form.hidden = true;
  $("result").hidden = false;
  $("ready").focus();
  await draw(link);
}

async function draw(link) {
  const { generate } = await import("./vendor/lean-qr.js");
  const code = generate(link);
  const quiet = 4; // white modules around the code, required by ISO/IEC 18004
  let path = "";
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) if (code.get(x, y)) path += `M${x + quiet} ${y + quiet}h1v1h-1z`;
  }
  $("qr").setAttribute("viewBox", `0 0 ${code.size + 2 * quiet} ${code.size + 2 * quiet}`);
  $("qr").lastElementChild.setAttribute("d", path);
  $("qr").removeAttribute("hidden");
}

function writeAnother() {
  $("result").hidden = true;
  $("qr").setAttribute("hidden", "");
  $("copied").textContent = "";
  form.hidden = false;
  for (const select of [$("life"), $("reads")]) select.dispatchEvent(new Event("change"));
  chooseEncryption();
  message.focus();
}

if (!able) {
  $("encrypt").defaultChecked = false;
  $("encrypt").disabled = true;
  $("encrypt-hint").textContent = say("write.unable");
}
offerChoices();
form.addEventListener("input", ({ target }) => { if (target.id !== "token") pending = null; });
form.addEventListener("submit", once(send, post));
message.addEventListener("input", checkSize);
$("encrypt").addEventListener("change", chooseEncryption);
$("show-password").addEventListener("click", () => {
  const show = $("password").type === "password";
  $("password").type = show ? "text" : "password";
  $("show-password").setAttribute("aria-pressed", String(show));
});
copies($("copy-link"), () => $("link").value, $("link"), $("copied"), () => { isKept = true; });
copies($("copy-receipt"), () => $("receipt").textContent, $("receipt"), $("copied"));
asksBeforeLeaving(() => (form.hidden ? !isKept : message.value !== ""));
$("again").addEventListener("click", writeAnother);
chooseEncryption();
send.disabled = false;
