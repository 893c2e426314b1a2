import { element } from "./element";
import { formOf, type Field } from "./form";
import type { PageName } from "./link";
import { isDead, run, runSignedIn, signedInPerson } from "./mutations";
import { nextStep, show } from "./view";

const SIGN_IN = "Sign in";
const NO_LONGER = "This link no longer works";
const USED_OR_OLD = "It has been used already, or it is too old, or a newer mail has replaced it.";

const NEW_PASSWORD: Field = {
  name: "password",
  label: "New password",
  type: "password",
  autocomplete: "new-password",
  hint: "The longer the better. Some words in a row are easy to remember; spaces and all other characters are fine.",
};

/** Shows the page for a token. Nothing is done with it before a button is pressed: mail scanners follow links too. */
export const PAGES: Readonly<Record<PageName, (token: string) => void | Promise<void>>> = {
  confirm: confirmRegistration,
  "reset-password": resetPassword,
  "accept-invitation": acceptInvitation,
  "link-identity": linkIdentity,
};

function confirmRegistration(token: string): void {
  const form = formOf({
    fields: [
      {
        name: "password",
        label: "Password",
        type: "password",
        autocomplete: "current-password",
        hint: "The one that you chose when you registered.",
      },
    ],
    button: "Finish registration",
    async send({ password = "" }) {
      const { userErrors } = await run("confirmRegistration", { token, password });
      if (isDead(userErrors)) {
        show({
          title: NO_LONGER,
          mood: "bad",
          content: [
            USED_OR_OLD,
            "If you have finished your registration, sign in. If not, register again.",
            nextStep(SIGN_IN),
          ],
        });
      } else if (userErrors.length === 0) {
        show({
          title: "Your account is ready",
          mood: "good",
          content: ["You can sign in now, with your address and your password.", nextStep(SIGN_IN)],
        });
      }
      return userErrors;
    },
  });
  show({
    title: "Finish your registration",
    content: ["If it was not you who registered with your address, close this page: there will be no account.", form],
  });
}

function resetPassword(token: string): void {
  const form = formOf({
    fields: [NEW_PASSWORD],
    button: "Set the new password",
    async send({ password = "" }) {
      const { userErrors } = await run("resetPassword", { token, password });
      if (isDead(userErrors)) requestPasswordReset(NO_LONGER, `${USED_OR_OLD} Ask for a new one here.`);
      else if (userErrors.length === 0) {
        show({
          title: "Your password is changed",
          mood: "good",
          content: ["Whoever was signed in to your account is signed out. You can sign in now.", nextStep(SIGN_IN)],
        });
      }
      return userErrors;
    },
  });
  show({ title: "Choose a new password", content: ["You will be signed out on all your devices.", form] });
}

/** For who comes without a link, too. */
export function requestPasswordReset(
  title = "Forgot your password?",
  why = "Say the address that you sign in with. A mail with a link comes, to choose a new one.",
): void {
  const form = formOf({
    fields: [{ name: "email", label: "E-mail address", type: "email", autocomplete: "username" }],
    button: "Send me a link",
    async send({ email = "" }) {
      const { userErrors } = await run("requestPasswordReset", { email: email.trim() });
      if (userErrors.length === 0) {
        show({
          title: "Look into your mailbox",
          mood: "good",
          content: [
            "If there is an account with that address, a link is on its way. It can take a few minutes.",
            "Nothing there? Look among the junk mail, and whether you sign in with another address.",
          ],
        });
      }
      return userErrors;
    },
  });
  show({ title, content: [why, form], ...(title === NO_LONGER && { mood: "bad" as const }) });
}

async function acceptInvitation(token: string): Promise<void> {
  const email = await signedInPerson();
  if (!email) return joinAs(token, "newcomer");
  const form = formOf({
    fields: [],
    button: "Join",
    send: async () => joined(await runSignedIn("acceptInvitation", { token })),
  });
  const other = element("button", { type: "button", class: "plain" }, "Join with another account");
  other.addEventListener("click", () => joinAs(token, "newcomer"));
  show({ title: "Join an organization", content: [`You are signed in as ${email}.`, form, other] });
}

function joinAs(token: string, who: "newcomer" | "member"): void {
  const isNew = who === "newcomer";
  const fields: readonly Field[] = isNew
    ? [{ name: "name", label: "Your name", type: "text", autocomplete: "name" }, { ...NEW_PASSWORD, label: "Password" }]
    : [{ name: "password", label: "Your password", type: "password", autocomplete: "current-password" }];
  const form = formOf({
    fields,
    button: isNew ? "Make my account and join" : "Sign in and join",
    send: async (values) => joined(await run("acceptInvitation", { token, ...values })),
  });
  const other = element("button", { type: "button", class: "plain" }, isNew ? "I have an account" : "I am new here");
  other.addEventListener("click", () => joinAs(token, isNew ? "member" : "newcomer"));
  const about = isNew
    ? "Make an account for the address that the invitation was sent to."
    : "Sign in with the address that the invitation was sent to.";
  const below = isNew ? [other] : [other, element("a", { href: "/account/reset-password" }, "Forgot your password?")];
  show({ title: "Join an organization", content: [about, form, element("p", { class: "below" }, ...below)] });
}

function joined({ session, userErrors }: Awaited<ReturnType<typeof run>>) {
  if (isDead(userErrors)) {
    show({
      title: "This invitation no longer holds",
      mood: "bad",
      content: [
        `${USED_OR_OLD} It may have been withdrawn as well.`,
        "If you have not joined yet, ask whoever invited you to do it again.",
      ],
    });
  } else if (userErrors.length === 0) {
    show({
      title: `You have joined ${session?.organization?.name ?? "the organization"}`,
      mood: "good",
      content: ["You can sign in now.", nextStep(SIGN_IN)],
    });
  }
  return userErrors;
}

function linkIdentity(token: string): void {
  const form = formOf({
    fields: [],
    button: "That was me: link it",
    async send() {
      const { userErrors } = await run("confirmIdentityLink", { token });
      if (isDead(userErrors)) {
        show({
          title: NO_LONGER,
          mood: "bad",
          content: [
            USED_OR_OLD,
            "Sign in with your identity provider again: when it is not linked yet, a new mail comes.",
          ],
        });
      } else if (userErrors.length === 0) {
        show({
          title: "Linked",
          mood: "good",
          content: ["Go back to where you wanted to sign in, and try again. From now on it opens your account."],
        });
      }
      return userErrors;
    },
  });
  show({
    title: "Link a sign-in to your account",
    content: [
      "Somebody has signed in with the identity provider that the mail names, with your address.",
      "Link it only if that was you. If it was not, close this page: nothing happens.",
      form,
    ],
  });
}
