import "../page.css";
import "./events.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { readConfig } from "../config";
import { keepSession } from "../renewal";
import { EventsPage } from "./EventsPage";

keepSession();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <EventsPage logins={readConfig().demoLogins ?? []} />
  </StrictMode>,
);
