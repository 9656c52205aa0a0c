// Shared by the pages: the texts and limits, which are part of the HTML, and small helpers.

const data = JSON.parse(document.getElementById("page").textContent);
const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);
const spoken = navigator.languages.find((one) => one.startsWith(language)) ?? language; // en-GB dates differ from en-US
const moments = new Intl.DateTimeFormat(spoken, { dateStyle: "full", timeStyle: "short" });

export const limits = data.limits;

export const $ = (id) => document.getElementById(id);

/** Return the text `key` (such as "reader.gone") with `values` inserted; `n` selects the plural form. */
export function say(key, values = {}) {
  const [group, name] = key.split(".");
  const words = data.words[group][name];
  const text = typeof words === "string" ? words : words[plural.select(values.n)] ?? words.other;
  return text.replace(/\{(\w+)\}/g, (_, value) =>
    typeof values[value] === "number" ? numbers.format(values[value]) : values[value]);
}

/** Format an RFC 3339 time for people. */
export const when = (moment) => moments.format(new Date(moment));

/** Make `button` copy the content of `source` (a field, a link or text), and show the result in `status`. */
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

/** Return a handler that runs `work` unless it is still running; `button` is marked as busy meanwhile. */
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

/** Let the browser paint before work that blocks it. */
export const painted = () => new Promise((resolve) => setTimeout(resolve, 20));
