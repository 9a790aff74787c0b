/** The page's one reactive state: the model, the connection, the clock, the route and the theme. */

import { emptyModel, pass, reduce, type Model } from './model';
import { follow, type Connection } from './stream';
import type { StreamEvent } from './types';

const TICK_MS = 500; // ages are shown in seconds, late pulse windows in halves of one
const QUEUE_MAX = 2_000; // a burst is applied in one go per painted frame, and never kept beyond this

class Site {
  #model: Model = $state.raw(emptyModel());
  connection: Connection = $state.raw({ state: 'connecting' });
  /** Viewer's clock, ms. */
  now = $state(Date.now());
  openedAt = Date.now();
  route = $state(location.hash);

  // The model is a new one twice a second; whoever reads a part of it wakes only when that part changed.
  readonly loaded = $derived(this.#model.loaded);
  readonly about = $derived(this.#model.site);
  readonly health = $derived(this.#model.health);
  readonly hosts = $derived(this.#model.hosts);
  readonly alarms = $derived(this.#model.alarms);
  readonly summary = $derived(this.#model.summary);
  readonly cleared = $derived(this.#model.cleared);
  readonly events = $derived(this.#model.events);
  readonly traces = $derived(this.#model.traces);
  readonly pulse = $derived(this.#model.pulse);
  readonly skewMs = $derived(this.#model.skewMs);
  readonly announcement = $derived(this.#model.announcement);

  /** The site's clock, as far as the stream tells it. */
  readonly siteNow = $derived(this.now - this.skewMs);
  readonly host = $derived(hostOfRoute(this.route));

  #queue: StreamEvent[] = [];
  #frame = 0;

  start(): () => void {
    const unfollow = follow({
      onEvent: (event) => this.#take(event),
      onConnection: (connection) => {
        this.connection = connection;
      },
    });
    const ticker = setInterval(() => this.#tick(), TICK_MS);
    const onHash = () => {
      this.route = location.hash;
    };
    const onVisible = () => this.#tick();
    window.addEventListener('hashchange', onHash);
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      unfollow();
      clearInterval(ticker);
      cancelAnimationFrame(this.#frame);
      window.removeEventListener('hashchange', onHash);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }

  #take(event: StreamEvent): void {
    this.#queue.push(event);
    if (document.hidden || this.#queue.length >= QUEUE_MAX) {
      this.#apply();
    } else if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => this.#apply());
    }
  }

  #apply(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const events = this.#queue;
    this.#queue = [];
    this.#model = reduce(this.#model, events, Date.now());
  }

  #tick(): void {
    this.#apply();
    this.now = Date.now();
    this.#model = pass(this.#model, this.now);
  }
}

function hostOfRoute(hash: string): string | null {
  const name = /^#\/hosts\/([^/]+)$/.exec(hash)?.[1];
  return name === undefined ? null : decodeURIComponent(name);
}

export const site = new Site();
