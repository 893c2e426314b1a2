import type { StreamEvent } from "./event";

const COMMON = ["id", "cursor", "at", "platform", "business"];

interface TypeRef {
  readonly kind: string;
  readonly name: string | null;
  readonly ofType?: TypeRef | null;
}

interface Field {
  readonly name: string;
  readonly type: TypeRef;
  readonly args: readonly { readonly defaultValue: string | null; readonly type: { readonly kind: string } }[];
}

/** A type of events, as the schema describes it. */
export interface EventKind {
  readonly name: string;
  readonly description: string | null;
  readonly fields: readonly Field[];
}

/** The fields of the types that events point to, by the name of the type. */
export type Pointed = Readonly<Record<string, { readonly fields: readonly Field[] | null } | null>>;

/** Asks the schema which types of events there are, and what they tell. */
export const KINDS = `event: __type(name: "Event") { possibleTypes { name description fields { ...Told } } }`;
export const TOLD = `fragment Told on __Field {
  name
  args { defaultValue type { kind } }
  type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
}`;

/** Asks for the types that events point to: the server lets nobody walk from type to type in one query. */
export function pointedQuery(kinds: readonly EventKind[]): string {
  const fields = kinds.flatMap((kind) => kind.fields.filter(({ name }) => !COMMON.includes(name)));
  const names = new Set(fields.flatMap(({ type }) => pointedType(type)?.name ?? []));
  const each = [...names].map((name) => `${name}: __type(name: "${name}") { fields { ...Told } }`);
  return names.size > 0 ? `query Pointed { ${each.join(" ")} } ${TOLD}` : "";
}

/** What to ask of an event, and how to read the answer. */
export interface Selection {
  readonly text: string;
  /** An event as its type has it: fields that had to be asked for by another name get their own again. */
  restored(event: StreamEvent): StreamEvent;
}

/**
 * The fields of each type that are single values or lists of them, and of what it points to the single values. The same
 * name may stand for different things in two types of events, which one selection cannot ask for: there the second one
 * gets another name on the way.
 */
export function selectionOf(kinds: readonly EventKind[], pointed: Pointed): Selection {
  const taken = new Map<string, string>();
  const renamed = new Map<string, Map<string, string>>();
  const fragments = kinds.map((kind) => {
    const parts = kind.fields.flatMap((field) => {
      if (COMMON.includes(field.name) || needsArguments(field)) return [];
      const inner = innerOf(field.type, pointed);
      if (inner === undefined) return [];
      const shapes = [...inner].map(([name, shape]) => [`${field.name}.${name}`, shape] as const);
      const all = [[field.name, inner.size > 0 ? bare(field.type) : written(field.type)] as const, ...shapes];
      const fits = all.every(([path, shape]) => (taken.get(path) ?? shape) === shape);
      const alias = fits ? field.name : `${kind.name}_${field.name}`;
      if (fits) for (const [path, shape] of all) taken.set(path, shape);
      else renamed.set(kind.name, (renamed.get(kind.name) ?? new Map<string, string>()).set(alias, field.name));
      const asked = fits ? alias : `${alias}: ${field.name}`;
      return [inner.size > 0 ? `${asked} { ${[...inner.keys()].join(" ")} }` : asked];
    });
    return parts.length > 0 ? `... on ${kind.name} { ${parts.join(" ")} }` : "";
  });
  const text = `__typename id cursor at platform { key name } business { id name } ${fragments.join(" ")}`;
  return {
    text,
    restored(event) {
      const names = renamed.get(event.__typename);
      if (!names) return event;
      return Object.fromEntries(
        Object.entries(event).map(([name, value]) => [names.get(name) ?? name, value]),
      ) as unknown as StreamEvent;
    },
  };
}

/** The fields to ask of a value, with their types: none of a leaf; `undefined` where it cannot be asked for. */
function innerOf(type: TypeRef, pointed: Pointed): ReadonlyMap<string, string> | undefined {
  if (isLeaf(named(type))) return new Map();
  const plain = pointedType(type);
  if (!plain) return undefined;
  const inner = new Map(plain.kind === "OBJECT" ? [] : [["__typename", "String!"]]);
  for (const field of pointed[plain.name ?? ""]?.fields ?? []) {
    if (isLeaf(nullable(field.type)) && !needsArguments(field)) inner.set(field.name, written(field.type));
  }
  return inner.size > 0 ? inner : undefined;
}

function pointedType(type: TypeRef): TypeRef | undefined {
  const plain = nullable(type);
  return ["OBJECT", "INTERFACE", "UNION"].includes(plain.kind) ? plain : undefined;
}

function nullable(type: TypeRef): TypeRef {
  return type.kind === "NON_NULL" ? type.ofType! : type;
}

function needsArguments({ args }: Field): boolean {
  return args.some(({ defaultValue, type }) => type.kind === "NON_NULL" && defaultValue === null);
}

function isLeaf({ kind }: TypeRef): boolean {
  return kind === "SCALAR" || kind === "ENUM";
}

function named(type: TypeRef): TypeRef {
  return type.ofType ? named(type.ofType) : type;
}

/** Two objects may share a name when both may be null or neither; a leaf only with the same leaf. */
function bare({ kind }: TypeRef): string {
  return kind === "NON_NULL" ? "{}!" : "{}";
}

function written(type: TypeRef): string {
  if (type.kind === "NON_NULL") return `${written(type.ofType!)}!`;
  return type.kind === "LIST" ? `[${written(type.ofType!)}]` : type.name!;
}
