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
  wellFill: string;
  thin: string;
  silent: string;
  unknown: string;
}

export interface TraceFrame {
  width: number;
  height: number;
  /** Device pixels to a CSS pixel. */
  scale: number;
  /** Frames due in one window on each path. */
  expected: number;
  /** Draw at fixed places and move a gap, instead of moving the strip (prefers-reduced-motion). */
  still: boolean;
}

export const PITCH = 3; // CSS pixels a window is wide
const THIN = 0.75; // below this share of the due frames a window is drawn as thin
const MARK_WINDOWS = 10; // a notch every five seconds: it shows that the strip moves, and how fast

interface Column {
  x: number;
  width: number;
  middle: number;
  reach: number;
}

/**
 * Draw a strip: newest window at the right edge; frames over NATS stand on the middle line, frames by UDP
 * hang below it. While all is well that is a ribbon; where frames are missing it is notched; a silent
 * window is a flat line, and one without word of the host a dot.
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
  const slots = Math.min(Math.floor(width / PITCH), TRACE_WINDOWS);
  const start = width - slots * PITCH;
  for (let slot = 0; slot < slots; slot += 1) {
    const ago = frame.still ? modulo(trace.written - 1 - slot, slots) : slots - 1 - slot;
    if (frame.still && ago === slots - 1) continue; // the gap that goes round
    const marked = modulo(trace.written - ago, MARK_WINDOWS) === 0;
    const column = {
      x: start + slot * PITCH,
      width: marked ? PITCH - 1 : PITCH,
      middle,
      reach: middle - 1,
    };
    drawWindow(context, trace.at(ago), column, frame.expected, colours);
  }
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

function drawWindow(
  context: CanvasRenderingContext2D,
  window: Window | null,
  column: Column,
  expected: number,
  colours: TraceColours,
): void {
  const { x, middle } = column;
  if (window === null) {
    context.fillStyle = colours.unknown;
    context.fillRect(x + 1, middle, 1, 1);
    return;
  }
  if (window.nats === 0 && window.udp === 0) {
    context.fillStyle = colours.silent;
    context.fillRect(x, middle - 1, PITCH, 2);
    return;
  }
  drawHalf(context, window.nats / expected, column, -1, colours);
  drawHalf(context, window.udp / expected, { ...column, middle: middle + 1 }, 1, colours);
}

function drawHalf(
  context: CanvasRenderingContext2D,
  share: number,
  column: Column,
  direction: 1 | -1,
  colours: TraceColours,
): void {
  const { x, width, middle, reach } = column;
  const well = share >= THIN;
  const length = share <= 0 ? 2 : Math.max(3, Math.round(Math.min(share, 1) * reach));
  const top = direction < 0 ? middle - length : middle;
  context.fillStyle = well ? colours.wellFill : colours.thin;
  context.fillRect(x, top, width, length);
  if (!well) return;
  context.fillStyle = colours.well;
  context.fillRect(x, direction < 0 ? top : top + length - 1, width, 1);
}
