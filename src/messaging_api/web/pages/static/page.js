// What the pages share: their words and limits, which the HTML brings along, and small helpers.

const data = JSON.parse(document.getElementById("page").textContent);
const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);
const spoken = navigator.languages.find((one) => one.startsWith(language)) ?? language; // en-GB writes dates its own way
const moments = new Intl.DateTimeFormat(spoken, { dateStyle: "full", timeStyle: "short" });

export const limits = data.limits;

export const $ = (id) => document.getElementById(id);

/** The words under `key` ("reader.gone") with `values` put in; `n` chooses between singular and plural. */
export function say(key, values = {}) {
  const [group, name] = key.split(".");
  const words = data.words[group][name];
  const text = typeof words === "string" ? words : words[plural.select(values.n)] ?? words.other;
  return text.replace(/\{(\w+)\}/g, (_, value) =>
    typeof values[value] === "number" ? numbers.format(values[value]) : values[value]);
}

/** A moment as people write it, from its RFC 3339 form. */
export const when = (moment) => moments.format(new Date(moment));

/** Copies what `source` (a field, a link or text) holds when `button` is pressed, and tells in `status`. */
export function copies(button, source, status, group) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      status.textContent = say(`${group}.copied`);
    } catch {
      getSelection().selectAllChildren(source);
      source.select?.();
      status.textContent = say(`${group}.notCopied`);
    }
  });
}

/** Runs `work` unless it runs already; meanwhile `button` says so. */
export function once(button, work) {
  let running = false;
  return async (event) => {
    event?.preventDefault();
    if (running) return;
    running = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      running = false;
      button.removeAttribute("aria-busy");
    }
  };
}

/** Lets the browser paint before work that keeps it busy. */
export const painted = () => new Promise((resolve) => setTimeout(resolve, 20));
