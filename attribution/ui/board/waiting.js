// The board on its page, shown once its script has arrived, which is long and comes with the facts: Streamlit sends a
// component's script with each of its messages.

globalThis.probeBoard ??= Promise.withResolvers();

export default function (asked) {
  const mounted = globalThis.probeBoard.promise.then((mount) => mount(asked));
  return () => mounted.then((remove) => remove());
}
