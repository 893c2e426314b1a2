import businesses from "./examples/businesses.graphql?raw";
import liveOrders from "./examples/live-orders.graphql?raw";
import orders from "./examples/orders.graphql?raw";
import prompts from "./examples/prompts.graphql?raw";
import reviewPayment from "./examples/review-payment.graphql?raw";
import usage from "./examples/usage.graphql?raw";
import welcome from "./examples/welcome.graphql?raw";

/** An operation to start from. */
export interface Example {
  readonly title: string;
  readonly summary: string;
  readonly kind: "query" | "mutation" | "subscription";
  /** Whether everybody may run it, signed in or not. */
  readonly open?: boolean;
  readonly document: string;
  /** Made when the example is opened, so that ranges of time end now. */
  readonly variables?: () => object;
}

export const welcomeDocument = welcome;

export const examples: readonly Example[] = [
  {
    title: "Platforms and prompts",
    summary: "What is plugged in, and a first look at the marketplace.",
    kind: "query",
    open: true,
    document: welcome,
  },
  {
    title: "Search the marketplace",
    summary: "Prompts by text, with their prices and sellers.",
    kind: "query",
    open: true,
    document: prompts,
    variables: () => ({ search: "email" }),
  },
  {
    title: "Businesses",
    summary: "Each with its campaigns and its latest orders.",
    kind: "query",
    document: businesses,
  },
  {
    title: "Orders of every platform",
    summary: "Merged into one list, newest first.",
    kind: "query",
    document: orders,
  },
  {
    title: "Usage",
    summary: "The last 30 days over all platforms.",
    kind: "query",
    document: usage,
    variables: () => ({ range: { from: daysAgo(30) } }),
  },
  {
    title: "Review a payment",
    summary: "Accept or reject what a customer has sent.",
    kind: "mutation",
    document: reviewPayment,
    variables: () => ({ input: { orderId: "", accepted: true, note: "The transfer has arrived." } }),
  },
  {
    title: "Live orders",
    summary: "Each change of an order, as it happens.",
    kind: "subscription",
    document: liveOrders,
  },
];

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}
