import "@graphiql/react/font/fira-code.css";
import "@graphiql/react/font/roboto.css";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "graphiql/setup-workers/vite";
import "./page.css";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { readConfig } from "./config";
import { welcomeDocument } from "./examples";
import { examplesPlugin } from "./ExamplesPlugin";
import { fetcher } from "./fetcher";
import { Header } from "./Header";
import { keepSession } from "./renewal";

const plugins = [examplesPlugin, HISTORY_PLUGIN];

// On a narrow screen the editors need all of the width; the examples stay one click away.
const roomy = matchMedia("(min-width: 960px)").matches;

/** What `?query=` and `&variables=` of the address ask to open, as text for the editors. */
function linkedOperation() {
  const search = new URLSearchParams(location.search);
  const query = search.get("query");
  const variables = search.get("variables");
  return { ...(query && { initialQuery: query }), ...(query && variables && { initialVariables: variables }) };
}

function Page() {
  return (
    <>
      <Header logins={readConfig().demoLogins ?? []} />
      <main>
        <GraphiQL
          fetcher={fetcher}
          plugins={plugins}
          defaultQuery={welcomeDocument}
          defaultEditorToolsVisibility="variables"
          inputValueDeprecation
          schemaDescription
          // Never offer to keep headers, and the tokens in them, in localStorage.
          shouldPersistHeaders={false}
          {...(roomy && { visiblePlugin: examplesPlugin })}
          {...linkedOperation()}
        >
          <GraphiQL.Logo>
            <span className="product">GraphiQL</span>
          </GraphiQL.Logo>
        </GraphiQL>
      </main>
    </>
  );
}

keepSession();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
