import type { StreamEvent } from "./event";

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const ZONE = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });
const LABELS = ["number", "name", "title", "username", "action", "text", "slug", "key"];
const MOMENT_OR_ID = /^(\d{4}-\d\d-\d\dT|[a-z]{2,4}_[0-9a-z]{20})/;
const COMMON = new Set(["__typename", "id", "cursor", "at", "platform", "business"]);

/** An event as people read it. */
export interface Reading {
  /** In the zone of the reader; the day only when it is not today. */
  readonly time: string;
  readonly day: string | undefined;
  readonly utc: string;
  /** What it is about, such as the number of an order. */
  readonly subject: string;
  readonly change: { readonly from: string | undefined; readonly to: string } | undefined;
  readonly rest: string;
  readonly hue: number;
}

const readings = new WeakMap<StreamEvent, Reading>();
const texts = new WeakMap<StreamEvent, string>();
const HUES = 8;

/** The short name of the reader's zone, such as CET. */
export function zone(): string {
  return ZONE.formatToParts().find(({ type }) => type === "timeZoneName")?.value ?? "";
}

export function readingOf(event: StreamEvent): Reading {
  let reading = readings.get(event);
  if (!reading) readings.set(event, (reading = read(event)));
  return reading;
}

/** All that an event tells, in lower case, for looking something up in it. */
export function textOf(event: StreamEvent): string {
  let text = texts.get(event);
  if (text === undefined) texts.set(event, (text = JSON.stringify(event).toLowerCase()));
  return text;
}

function read(event: StreamEvent): Reading {
  const at = new Date(event.at);
  const { from, to, ...own } = Object.fromEntries(Object.entries(event).filter(([name]) => !COMMON.has(name)));
  const objects = Object.values(own).filter(isObject);
  const [about, ...others] = objects;
  const label = about && labelOf(about);
  const told = typeof to === "string" ? [] : valuesOf(about ?? {}, label);
  const rest = [...told, ...valuesOf(own), ...others.map(labelOf)].filter((each) => each !== undefined);
  return {
    time: CLOCK.format(at),
    day: at.toDateString() === new Date().toDateString() ? undefined : DAY.format(at),
    utc: event.at,
    subject: label ?? "",
    change: typeof to === "string" ? { from: typeof from === "string" ? words(from) : undefined, to: words(to) } : undefined,
    rest: rest.slice(0, 4).join(" · "),
    hue: hueOf(event.__typename),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function labelOf(object: Fields): string | undefined {
  const name = LABELS.find((each) => typeof object[each] === "string" && object[each] !== "") ?? "id";
  return typeof object[name] === "string" ? object[name] : undefined;
}

/** Short values in words, without ids, moments, and what has been told already. */
function valuesOf(fields: Fields, told?: string): string[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (name === "id" || name === "__typename" || value === told || value === null) return [];
    if (typeof value === "number") return [`${name} ${value}`];
    if (typeof value !== "string" || value.length > 60 || MOMENT_OR_ID.test(value)) return [];
    return [/^[A-Z_]+$/.test(value) ? words(value) : value];
  });
}

/** A value of an enum as people say it. */
function words(value: string): string {
  return value.toLowerCase().replaceAll("_", " ");
}

function hueOf(type: string): number {
  let sum = 0;
  for (const letter of type) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
  return sum % HUES;
}
