/** Instants and spans as people read them: the viewer's zone, UTC beside it. */

import type { Instant } from './types';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const DAY_CLOCK = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const ZONE = new Intl.DateTimeFormat(undefined, { timeZoneName: 'short', hour: '2-digit' });

/** Viewer's zone: 14:03:22. */
export function clock(ms: number): string {
  return CLOCK.format(ms);
}

/** Viewer's zone: 14:03:22 today, 21 Nov, 14:03 on another day. */
export function clockOrDay(ms: number, now: number): string {
  const same = new Date(ms).toDateString() === new Date(now).toDateString();
  return same ? CLOCK.format(ms) : DAY_CLOCK.format(ms);
}

export function zone(ms: number): string {
  return ZONE.formatToParts(ms).find((part) => part.type === 'timeZoneName')?.value ?? '';
}

/** 2025-11-22 08:26:03.123 UTC */
export function utc(instant: Instant | number): string {
  const ms = typeof instant === 'number' ? instant : Date.parse(instant);
  if (Number.isNaN(ms)) return '';
  return `${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')} UTC`;
}

/** How long ago or how long: 0 s, 59 s, 4 min, 2 h 05 min, 3 d 4 h. Never negative. */
export function span(ms: number): string {
  const left = Math.max(0, ms);
  if (left < MINUTE) return `${Math.floor(left / SECOND)} s`;
  if (left < HOUR) return `${Math.floor(left / MINUTE)} min`;
  if (left < DAY) {
    const minutes = Math.floor((left % HOUR) / MINUTE);
    return `${Math.floor(left / HOUR)} h ${String(minutes).padStart(2, '0')} min`;
  }
  return `${Math.floor(left / DAY)} d ${Math.floor((left % DAY) / HOUR)} h`;
}
