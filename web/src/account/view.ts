import { element } from "./element";

const page = document.getElementById("page")!;

/** What the page shows at a time: a heading, and what is below it. */
export interface View {
  readonly title: string;
  readonly content: readonly (Node | string)[];
  /** Colours the card; the words say it too. */
  readonly mood?: "good" | "bad";
}

/** Shows a view in place of the one before. */
export function show({ title, content, mood }: View): void {
  const isFirst = !page.hasChildNodes();
  const heading = element("h1", { tabindex: "-1" }, title);
  const paragraphs = content.map((each) => (typeof each === "string" ? element("p", {}, each) : each));
  page.className = mood ?? "";
  page.replaceChildren(heading, ...paragraphs);
  document.title = `${title} · Tributary`;
  // Who cannot see that the page changed hears it: the focus was on a button that is gone.
  if (!isFirst) heading.focus();
}

/** A link that looks like the next step. */
export function nextStep(text: string, href = "/graphql"): HTMLElement {
  return element("p", {}, element("a", { class: "button", href }, text));
}
