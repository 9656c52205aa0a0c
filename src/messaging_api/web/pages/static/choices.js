// The choices of the form at /: how long and how often a message can be read. The last ones are kept in this browser.

import { $, limits, say } from "./page.js";

const slot = "choices";
const selects = [$("life"), $("reads")];

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

/** Offer choices that need JavaScript, and select those of the last message. */
export function offerChoices() {
  offerMore($("reads"), say("write.aNumber"), $("number"));
  $("reads").append(new Option(say("write.unlimited"), ""));
  offerMore($("life"), say("write.aDate"), $("date"));
  const now = Date.now();
  $("date").min = local(now + 60_000);
  $("date").max = local(now + limits.max_ttl * 1000);
  $("date").value = local(now + Math.min(limits.max_ttl, 2 * 86_400) * 1000 - 60_000);
  recall();
}

/** Select the choices of the last message again, as far as they have a number. */
export function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(slot)) ?? {};
    for (const select of selects) {
      const option = [...select.options].find(({ value }) => value && value === kept[select.id]);
      if (option) option.selected = true;
    }
  } catch {
    // without storage, the choices are those of the page
  }
  for (const select of selects) select.dispatchEvent(new Event("change"));
}

/** Keep the choices of this message. */
export function remember() {
  try {
    localStorage.setItem(slot, JSON.stringify(Object.fromEntries(selects.map(({ id, value }) => [id, value]))));
  } catch {
    // as in recall
  }
}
