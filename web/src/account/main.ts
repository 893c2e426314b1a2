import "./account.css";
import { takeLink } from "./link";
import { PAGES, requestPasswordReset } from "./pages";
import { show } from "./view";

function open(): void {
  const { page, token } = takeLink();
  if (token) void PAGES[page](token);
  else if (page === "reset-password") requestPasswordReset();
  else {
    show({
      title: "Something is missing here",
      mood: "bad",
      content: [
        "Open the link in the mail once more.",
        "If you come back here, its end was cut off: copy the whole address out of the mail into the address bar.",
      ],
    });
  }
}

open();
// A second link followed in the same tab changes nothing of the address but what is after the #.
addEventListener("hashchange", () => location.hash && open());
