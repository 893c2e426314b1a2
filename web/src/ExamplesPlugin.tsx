import { useGraphiQL, useGraphiQLActions, type GraphiQLPlugin } from "@graphiql/react";
import { examples, type Example } from "./examples";

function ExamplesIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round">
      <path d="M4 6h10M4 12h7M4 18h7" />
      <path d="M15.5 12.2v6.6l5-3.3z" strokeLinejoin="round" />
    </svg>
  );
}

function Examples() {
  const { addTab, changeTab, updateActiveTabValues } = useGraphiQLActions();
  const { tabs, queryEditor, variableEditor } = useGraphiQL(({ tabs, queryEditor, variableEditor }) => ({
    tabs,
    queryEditor,
    variableEditor,
  }));

  function open({ document, variables }: Example) {
    const opened = tabs.findIndex(({ query }) => query === document);
    if (opened >= 0) return changeTab(opened);
    const values = { query: document, variables: variables ? JSON.stringify(variables(), null, 2) : "" };
    addTab();
    queryEditor?.setValue(values.query);
    variableEditor?.setValue(values.variables);
    updateActiveTabValues(values);
  }

  return (
    <section aria-label="Examples">
      <h2 className="examples-title">Examples</h2>
      <ul className="examples-list">
        {examples.map((example) => (
          <li key={example.title}>
            <button type="button" className="example" onClick={() => open(example)}>
              <span className="example-title">{example.title}</span>
              <span className="example-summary">{example.summary}</span>
              <span className="example-tags">
                <span className={`example-kind example-${example.kind}`}>{example.kind}</span>
                {example.open ? "open to everybody" : "sign in first"}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The pane on the left that lists operations to start from. */
export const examplesPlugin: GraphiQLPlugin = { title: "Examples", icon: ExamplesIcon, content: Examples };
