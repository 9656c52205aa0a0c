// The page at /receipt/<id>: show the state of a message, and burn it.

import { ask, Failure, json, tell } from "./api.js";
import { $, once, say, when } from "./page.js";

function present({ state, reads, reads_left: left, expires_at: expires }) {
  $("state").textContent = say(`receipt.${state}`);
  $("state").dataset.state = state;
  $("reads").textContent = reads ?? say("receipt.unlimited");
  const here = state === "available";
  $("left").textContent = here ? (left ?? say("receipt.unlimited")) : say("receipt.none");
  $("expires").textContent = when(expires);
  $("burn").disabled = !here;
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
    $("details").hidden = true;
  }
  return undefined;
}

async function burn() {
  const receipt = await attempt("DELETE");
  if (!receipt) return;
  if (receipt.state !== "burned") $("status").textContent = say("receipt.wasGone");
  $("state").focus();
}

$("refresh").addEventListener("click", once($("refresh"), () => attempt("GET")));
$("burn").addEventListener("click", () => {
  $("sure").returnValue = "no";
  $("sure").showModal();
});
$("sure").addEventListener("close", () => {
  if ($("sure").returnValue === "yes") burn();
});
attempt("GET");
$("card").classList.remove("waiting");
