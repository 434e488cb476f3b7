// A panel, the toolbar, the classes or a link on a page of the dashboard, shown once the viewer has arrived.

globalThis.linkedViewer ??= Promise.withResolvers();

export default function (asked) {
  const mounted = globalThis.linkedViewer.promise.then((mount) => mount(asked));
  return () => mounted.then((remove) => remove());
}
