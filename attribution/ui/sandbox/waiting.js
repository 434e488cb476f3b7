// A sandbox on its page, shown once its script has arrived, which is long and comes by itself: Streamlit sends a
// component's script with each of its messages.

globalThis.lessonSandbox ??= Promise.withResolvers();

export default function (asked) {
  const mounted = globalThis.lessonSandbox.promise.then((mount) => mount(asked));
  return () => mounted.then((remove) => remove());
}
