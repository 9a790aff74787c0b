/** One observer for all strips: what cannot be seen is not drawn. */

const callbacks = new WeakMap<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | undefined;

function shared(): IntersectionObserver {
  observer ??= new IntersectionObserver((entries) => {
    for (const entry of entries) callbacks.get(entry.target)?.(entry.isIntersecting);
  });
  return observer;
}

/** Tell `callback` whether `element` is on screen, until the returned function is called. */
export function whenVisible(element: Element, callback: (visible: boolean) => void): () => void {
  callbacks.set(element, callback);
  shared().observe(element);
  return () => {
    callbacks.delete(element);
    shared().unobserve(element);
  };
}
