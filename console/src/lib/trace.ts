/**
 * The heartbeat of one host, window by window: what came, of what was due, on each of its two paths.
 *
 * A ring that is written in place: twice a second for every host, so nothing is allocated.
 */

export const TRACE_WINDOWS = 240; // two minutes of half-second windows: the widest strip on the page
const UNKNOWN = 255; // nobody told us about this window: not the same as silence
const COUNT_MAX = 254;

export interface Window {
  nats: number;
  udp: number;
}

export class Trace {
  readonly #nats = new Uint8Array(TRACE_WINDOWS).fill(UNKNOWN);
  readonly #udp = new Uint8Array(TRACE_WINDOWS).fill(UNKNOWN);
  /** Windows written so far; the next one goes to `written % TRACE_WINDOWS`. */
  written = 0;
  /** Since the last frame on any path, as of the last window; null before the first one. */
  silentMs: number | null = null;
  loadPercent = 0;
  windowMs = 500;

  push(nats: number, udp: number): void {
    const at = this.written % TRACE_WINDOWS;
    this.#nats[at] = Math.min(nats, COUNT_MAX);
    this.#udp[at] = Math.min(udp, COUNT_MAX);
    this.written += 1;
  }

  /** Windows went by without word of this host: the monitor or the stream was away. */
  skip(count: number): void {
    const blanks = Math.min(count, TRACE_WINDOWS);
    for (let i = 0; i < blanks; i += 1) {
      const at = this.written % TRACE_WINDOWS;
      this.#nats[at] = UNKNOWN;
      this.#udp[at] = UNKNOWN;
      this.written += 1;
    }
  }

  /** The window `ago` windows back (0 is the last one); null when unknown. */
  at(ago: number): Window | null {
    if (ago < 0 || ago >= TRACE_WINDOWS || ago >= this.written) return null;
    const index = (this.written - 1 - ago) % TRACE_WINDOWS;
    const nats = this.#nats[index] as number;
    const udp = this.#udp[index] as number;
    return nats === UNKNOWN ? null : { nats, udp };
  }
}

export interface TraceColours {
  well: string;
  thin: string;
  silent: string;
  unknown: string;
  line: string;
}

export interface TraceFrame {
  width: number;
  height: number;
  /** Device pixels to a CSS pixel. */
  scale: number;
  /** Frames due in one window on each path. */
  expected: number;
  /** Draw at fixed places and move a cursor, instead of moving the strip (prefers-reduced-motion). */
  still: boolean;
}

const BAR = 1.5; // CSS pixels: a bar and the gap behind it make the pitch
export const PITCH = 3;
const THIN = 0.75; // below this share of the due frames a window is drawn as thin

/**
 * Draw a strip: newest window at the right edge; frames over NATS stand on the middle line, frames by UDP
 * hang below it. A silent window is a flat line, one without word of the host a row of dots.
 */
export function drawTrace(
  context: CanvasRenderingContext2D,
  trace: Trace,
  frame: TraceFrame,
  colours: TraceColours,
): void {
  const { width, height, scale } = frame;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const middle = Math.floor(height / 2);
  const reach = middle - 1;
  const slots = Math.min(Math.floor(width / PITCH), TRACE_WINDOWS);
  const start = width - slots * PITCH;
  for (let slot = 0; slot < slots; slot += 1) {
    const ago = frame.still
      ? (((trace.written - 1 - slot) % slots) + slots) % slots
      : slots - 1 - slot;
    const x = start + slot * PITCH;
    if (frame.still && ago === slots - 1) {
      // The cursor's place: the oldest window is given up, so that the seam can be seen.
      continue;
    }
    drawWindow(context, trace.at(ago), { x, middle, reach, expected: frame.expected }, colours);
  }
}

function drawWindow(
  context: CanvasRenderingContext2D,
  window: Window | null,
  place: { x: number; middle: number; reach: number; expected: number },
  colours: TraceColours,
): void {
  const { x, middle, reach, expected } = place;
  if (window === null) {
    context.fillStyle = colours.unknown;
    context.fillRect(x, middle, 1, 1);
    return;
  }
  if (window.nats === 0 && window.udp === 0) {
    context.fillStyle = colours.silent;
    context.fillRect(x, middle - 1, PITCH, 2);
    return;
  }
  context.fillStyle = colours.line;
  context.fillRect(x, middle, PITCH, 1);
  drawHalf(context, window.nats / expected, { x, middle, reach }, -1, colours);
  drawHalf(context, window.udp / expected, { x, middle: middle + 1, reach }, 1, colours);
}

function drawHalf(
  context: CanvasRenderingContext2D,
  share: number,
  place: { x: number; middle: number; reach: number },
  direction: 1 | -1,
  colours: TraceColours,
): void {
  if (share <= 0) {
    context.fillStyle = colours.thin;
    context.fillRect(place.x, direction < 0 ? place.middle - 2 : place.middle + 1, BAR, 1);
    return;
  }
  const length = Math.max(2, Math.round(Math.min(share, 1) * place.reach));
  context.fillStyle = share < THIN ? colours.thin : colours.well;
  context.fillRect(place.x, direction < 0 ? place.middle - length : place.middle, BAR, length);
}
