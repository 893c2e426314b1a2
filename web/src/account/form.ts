import type { UserError } from "../graphql";
import { element } from "./element";

/** A field of a form; `name` is the one that the input of the mutation has. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: "text" | "email" | "password";
  readonly autocomplete: AutoFill;
  readonly hint?: string;
  readonly optional?: boolean;
}

export interface Form {
  readonly fields: readonly Field[];
  readonly button: string;
  /** Does what the form is for with the values by name; returns what has to be mended, nothing when it is done. */
  readonly send: (values: Readonly<Record<string, string>>) => Promise<readonly UserError[]>;
}

let made = 0;

/** A form that says beside each field what is wrong with it, and above its button what is wrong with the whole. */
export function formOf({ fields, button, send }: Form): HTMLFormElement {
  const inputs = new Map(fields.map((field) => [field.name, inputOf(field)]));
  const problem = element("p", { class: "problem", role: "alert" });
  const submit = element("button", { type: "submit" }, button);
  const form = element("form", { novalidate: true }, ...[...inputs.values()].map(({ row }) => row), problem, submit);

  function tell(errors: readonly UserError[]): void {
    const general: string[] = [];
    for (const { message, field } of errors) {
      const name = field?.findLast((part) => inputs.has(part));
      if (name) inputs.get(name)?.complain(message);
      else general.push(message);
    }
    problem.textContent = general.join(" ");
    [...inputs.values()].find(({ input }) => input.ariaInvalid === "true")?.input.focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    for (const { complain } of inputs.values()) complain("");
    const unfit = fields.flatMap((field) => plainlyWrong(field, inputs.get(field.name)!.input));
    if (unfit.length > 0) return tell(unfit);
    submit.disabled = true;
    form.ariaBusy = "true";
    try {
      tell(await send(Object.fromEntries([...inputs].map(([name, { input }]) => [name, input.value]))));
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      submit.disabled = false;
      form.ariaBusy = null;
    }
  });
  return form;
}

/** What the page sees without asking the server. */
function plainlyWrong({ name, label, optional }: Field, { value, validity }: HTMLInputElement): UserError[] {
  if (!optional && !value) return [{ code: "REQUIRED", message: `${label} is missing.`, field: [name] }];
  return validity.typeMismatch ? [{ code: "INVALID", message: "This is no e-mail address.", field: [name] }] : [];
}

function inputOf({ name, label, type, autocomplete, hint, optional }: Field) {
  const id = `field-${++made}`;
  const input = element("input", {
    id,
    name,
    type,
    autocomplete,
    autocapitalize: type === "text" ? "words" : "none",
    spellcheck: "false",
    "aria-required": optional ? undefined : "true",
    "aria-describedby": hint ? `${id}-hint ${id}-problem` : `${id}-problem`,
  });
  const problem = element("p", { id: `${id}-problem`, class: "problem" });
  const caption = element("label", { for: id }, label);
  if (optional) caption.append(" ", element("span", { class: "optional" }, "(optional)"));
  const box = element("div", { class: "box" }, input);
  if (type === "password") box.append(showToggle(input));
  const row = element("div", { class: "field" }, caption, box, problem);
  if (hint) row.append(element("p", { id: `${id}-hint`, class: "hint" }, hint));
  const complain = (message: string): void => {
    problem.textContent = message;
    input.ariaInvalid = message ? "true" : null;
  };
  return { row, input, complain };
}

/** Shows a password while it is typed: better than typing it twice, which hides the same mistake twice. */
function showToggle(input: HTMLInputElement): HTMLButtonElement {
  const label = element("span", {}, "Show");
  const toggle = element("button", { type: "button", class: "show", "aria-controls": input.id });
  toggle.append(label, element("span", { class: "unseen" }, " password"));
  toggle.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    label.textContent = shown ? "Show" : "Hide";
  });
  return toggle;
}
