/**
 * The site's stream: one EventSource, kept alive, and the truth about whether it is.
 *
 * The browser reconnects by itself after a broken connection and resumes by Last-Event-ID. It gives up
 * when the server answers with an error, and it does not notice a connection that died without a word:
 * both are handled here, by a new EventSource that resumes after the last cursor.
 */

import type { StreamEvent } from './types';

export type Connection =
  | { state: 'connecting' }
  | { state: 'live'; since: number }
  | { state: 'reconnecting'; since: number }
  | { state: 'unauthorized' };

export interface StreamOptions {
  onEvent: (event: StreamEvent) => void;
  onConnection: (connection: Connection) => void;
}

const NAMES = [
  'snapshot',
  'host',
  'host_removed',
  'alarm',
  'alarm_summary',
  'alarm_cleared',
  'log',
  'pulse',
  'health',
  'reset',
] as const satisfies StreamEvent['event'][];

/** Others repeat the id of an earlier one, which a reset may have made worthless. */
const CARRY_ID = new Set<string>(['snapshot', 'log']);

const PATH = '/api/v1/stream';
const PROBE = '/api/v1/site';
const SILENCE_MS_MAX = 25_000; // health comes every 10 s: two are missing
const RETRY_MS = [500, 1_000, 2_000, 5_000]; // then every five seconds: an operator is looking
const PROBE_MS_MAX = 5_000;
const CHECK_MS = 2_000;

/** Follow the stream until the returned function is called. */
export function follow(options: StreamOptions): () => void {
  const stream = new Stream(options);
  stream.open();
  return () => stream.stop();
}

class Stream {
  readonly #options: StreamOptions;
  #source: EventSource | null = null;
  #connection: Connection = { state: 'connecting' };
  #cursor: string | null = null;
  #heardAt = 0;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #check: ReturnType<typeof setInterval>;
  #stopped = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#check = setInterval(() => this.#watch(), CHECK_MS);
  }

  open(): void {
    this.#source?.close();
    const resume = this.#cursor === null ? '' : `?after=${encodeURIComponent(this.#cursor)}`;
    const source = new EventSource(PATH + resume);
    this.#source = source;
    this.#heardAt = Date.now();
    for (const name of NAMES) {
      source.addEventListener(name, (message) => this.#hear(name, message));
    }
    source.onopen = () => {
      this.#heardAt = Date.now();
    };
    source.onerror = () => this.#fail(source);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#check);
    clearTimeout(this.#retry);
    this.#source?.close();
  }

  #hear(name: StreamEvent['event'], message: MessageEvent<string>): void {
    this.#heardAt = Date.now();
    this.#attempt = 0;
    let data: unknown;
    try {
      data = JSON.parse(message.data);
    } catch (error) {
      console.error(`the stream sent a ${name} that is not JSON`, error);
      return;
    }
    if (name === 'reset') this.#cursor = null;
    else if (message.lastEventId && CARRY_ID.has(name)) this.#cursor = message.lastEventId;
    if (this.#connection.state !== 'live') this.#become({ state: 'live', since: this.#heardAt });
    this.#options.onEvent({ event: name, data } as StreamEvent);
  }

  #fail(source: EventSource): void {
    if (this.#stopped || source !== this.#source) return;
    this.#lose();
    if (source.readyState === EventSource.CLOSED) this.#later();
  }

  #lose(): void {
    if (this.#connection.state === 'live') {
      this.#become({ state: 'reconnecting', since: this.#heardAt });
    }
  }

  /** The browser has given up: ask why, then open anew or say that the token is missing. */
  #later(): void {
    clearTimeout(this.#retry);
    const wait = RETRY_MS[Math.min(this.#attempt, RETRY_MS.length - 1)] as number;
    this.#attempt += 1;
    this.#retry = setTimeout(() => void this.#probe(), this.#attempt === 1 ? 0 : wait);
  }

  async #probe(): Promise<void> {
    const status = await probe();
    if (this.#stopped) return;
    if (status === 401) {
      this.#become({ state: 'unauthorized' });
      this.#later();
    } else if (status >= 200 && status < 300) {
      if (this.#connection.state === 'unauthorized') this.#become({ state: 'connecting' });
      this.open();
    } else {
      this.#later();
    }
  }

  /** A connection can die without a word: the laptop slept, a cable was pulled. */
  #watch(): void {
    const source = this.#source;
    if (source === null || source.readyState === EventSource.CLOSED) return;
    if (Date.now() - this.#heardAt < SILENCE_MS_MAX) return;
    this.#lose();
    source.close();
    this.#later();
  }

  #become(connection: Connection): void {
    if (connection.state === this.#connection.state) return;
    this.#connection = connection;
    this.#options.onConnection(connection);
  }
}

/** Status of a plain request, 0 when none came back: an EventSource does not tell why it failed. */
async function probe(): Promise<number> {
  try {
    const answer = await fetch(PROBE, {
      cache: 'no-store',
      signal: AbortSignal.timeout(PROBE_MS_MAX),
    });
    return answer.status;
  } catch {
    return 0;
  }
}
