// The page at /receipt/<id>: show the state of a message, and burn it.

import { ask, Failure, json, tell } from "./api.js";
import { $, once, say, when } from "./page.js";

const pause = 10_000; // ms between requests while the page is looked at
let isFinal = false; // whether the state cannot change any more
let timer;

/** Return the text for a message that can be read. */
function waiting(reads, left) {
  if (reads === null) return say("receipt.open");
  return reads === left ? say("receipt.available") : say("receipt.partly", { n: reads - left, reads });
}

/** Refresh the page while it is visible and the message can be read. */
function watch() {
  clearTimeout(timer);
  if (document.hidden || isFinal) return;
  timer = setTimeout(refresh, pause);
}

async function refresh() {
  clearTimeout(timer);
  await attempt("GET");
  watch();
}

function present({ state, reads, reads_left: left, expires_at: expires }) {
  const here = state === "available";
  isFinal = !here;
  const text = here ? waiting(reads, left) : say(`receipt.${state}`);
  if ($("state").textContent !== text) $("state").textContent = text; // which screen readers announce
  $("state").dataset.state = state;
  $("reads").textContent = reads ?? say("receipt.unlimited");
  $("left").textContent = here ? (left ?? say("receipt.unlimited")) : say("receipt.none");
  $("expires").textContent = when(expires);
  $("burn").hidden = !here;
  $("refresh").hidden = false;
}

async function attempt(method) {
  $("status").textContent = "";
  try {
    const receipt = await json(await ask(method, location.pathname));
    present(receipt);
    return receipt;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (failure.kind !== "missing") return tell($("status"), failure);
    $("state").textContent = say("receipt.missing");
    $("details").hidden = isFinal = true;
  }
  return undefined;
}

async function burn() {
  const receipt = await attempt("DELETE");
  if (!receipt) return;
  if (receipt.state !== "burned") $("status").textContent = say("receipt.wasGone");
  $("state").focus();
}

const refreshOnce = once($("refresh"), refresh);
$("refresh").addEventListener("click", refreshOnce);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!isFinal) refreshOnce();
});
$("burn").addEventListener("click", () => {
  $("sure").returnValue = "no";
  $("sure").showModal();
});
$("sure").addEventListener("close", () => {
  if ($("sure").returnValue === "yes") burn();
});
refreshOnce();
$("card").classList.remove("waiting");
