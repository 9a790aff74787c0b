/**
 * What the page knows of the site, as a function of what the stream has said.
 *
 * Pure: time is an argument, nothing is fetched or drawn here. A batch of stream events makes a new model
 * that shares what did not change, so that a view compares by identity. Traces alone are written in place.
 */

import { Trace } from './trace';
import type { AlarmSummary, AlarmView, EventView, HealthView, HostView, SiteView, StreamEvent } from './types';

export const EVENTS_MAX = 500; // what a person scrolls back through; the rest is one query away
export const CLEARED_SHOWN_MS = 6_000; // a cleared alarm stays that long, marked as cleared
const SKEW_MS_MIN = 250; // ages are told in seconds
const WINDOWS_LATE_MAX = 3; // no frame for so many windows: the trace shows that nobody told us

export interface ClearedAlarm {
  alarm: AlarmView;
  reason: string;
  /** Viewer's clock, ms. */
  clearedAt: number;
}

export interface PulseClock {
  /** Viewer's clock when the last frame came, moved on by windows that were skipped; 0 before the first. */
  heardAt: number;
  windowMs: number;
  /** Grows with every frame or skipped window: what makes a strip draw itself. */
  tick: number;
  /** Whether windows are being skipped now: no frames come. */
  late: boolean;
}

export interface Model {
  loaded: boolean;
  site: SiteView | null;
  health: HealthView | null;
  hosts: ReadonlyMap<string, HostView>;
  /** The first 1,000 of the list, and what came since; `summary` counts all. */
  alarms: ReadonlyMap<string, AlarmView>;
  summary: AlarmSummary;
  cleared: ReadonlyMap<string, ClearedAlarm>;
  /** Newest first, at most EVENTS_MAX. */
  events: readonly EventView[];
  traces: ReadonlyMap<string, Trace>;
  pulse: PulseClock;
  /** Viewer's clock minus the site's, ms: ages are told by the site's clock. */
  skewMs: number;
  /** The newest change worth saying aloud, for screen readers. */
  announcement: string;
}

const NO_ALARMS: AlarmSummary = {
  counts: { critical: 0, major: 0, minor: 0, warning: 0, indeterminate: 0 },
  root_count: 0,
  impacted_count: 0,
  acknowledged_count: 0,
  masked_count: 0,
  suppressed_count: 0,
};

export function emptyModel(): Model {
  return {
    loaded: false,
    site: null,
    health: null,
    hosts: new Map(),
    alarms: new Map(),
    summary: NO_ALARMS,
    cleared: new Map(),
    events: [],
    traces: new Map(),
    pulse: { heardAt: 0, windowMs: 500, tick: 0, late: false },
    skewMs: 0,
    announcement: '',
  };
}

interface Draft extends Model {
  hosts: Map<string, HostView>;
  alarms: Map<string, AlarmView>;
  cleared: Map<string, ClearedAlarm>;
  traces: Map<string, Trace>;
  events: EventView[];
}

type Collection = 'hosts' | 'alarms' | 'cleared' | 'traces' | 'events';

/** Copies a collection of the draft the first time a batch changes it. */
class Batch {
  readonly draft: Draft;
  readonly #own = new Set<Collection>();

  constructor(model: Model) {
    this.draft = { ...model } as Draft;
  }

  change<K extends Collection>(name: K): Draft[K] {
    if (!this.#own.has(name)) {
      this.#own.add(name);
      const old = this.draft[name];
      const copy: unknown = Array.isArray(old) ? [...old] : new Map<string, unknown>(old);
      this.draft[name] = copy as Draft[K];
    }
    return this.draft[name];
  }

  replace<K extends Collection>(name: K, value: Draft[K]): void {
    this.#own.add(name);
    this.draft[name] = value;
  }
}

/** The model after `events`, in their order; `now` is the viewer's clock in ms. */
export function reduce(model: Model, events: readonly StreamEvent[], now: number): Model {
  if (events.length === 0) return model;
  const batch = new Batch(model);
  for (const event of events) apply(batch, event, now);
  return batch.draft;
}

function apply(batch: Batch, event: StreamEvent, now: number): void {
  const { draft } = batch;
  switch (event.event) {
    case 'snapshot':
      return loadSnapshot(batch, event.data, now);
    case 'host':
      batch.change('hosts').set(event.data.name, event.data);
      return;
    case 'host_removed':
      batch.change('hosts').delete(event.data.name);
      batch.change('traces').delete(event.data.name);
      return;
    case 'alarm':
      return raiseAlarm(batch, event.data);
    case 'alarm_summary':
      draft.summary = event.data;
      return;
    case 'alarm_cleared':
      return clearAlarm(batch, event.data, now);
    case 'log':
      return addEvent(batch, event.data);
    case 'pulse':
      return beat(batch, event.data, now);
    case 'health':
      if (draft.health !== null && draft.health.status !== event.data.status) {
        draft.announcement = event.data.summary;
      }
      draft.health = event.data;
      draft.skewMs = settle(draft.skewMs, now - Date.parse(event.data.at));
      return;
    case 'reset':
      // A snapshot follows; until then what is shown stands.
      return;
    default:
      event satisfies never;
  }
}

function loadSnapshot(
  batch: Batch,
  snapshot: Extract<StreamEvent, { event: 'snapshot' }>['data'],
  now: number,
): void {
  const { draft } = batch;
  draft.loaded = true;
  draft.site = snapshot.site;
  draft.health = snapshot.site.health;
  draft.skewMs = settle(draft.skewMs, now - Date.parse(snapshot.site.health.at));
  batch.replace('hosts', new Map(snapshot.hosts.map((host) => [host.name, host])));
  batch.replace('alarms', new Map(snapshot.alarms.map((alarm) => [alarm.uuid, alarm])));
  batch.replace('cleared', new Map());
  draft.summary = snapshot.alarm_summary;
  batch.replace('events', snapshot.events.slice(-EVENTS_MAX).reverse());
  const traces = batch.change('traces');
  for (const name of traces.keys()) if (!draft.hosts.has(name)) traces.delete(name);
}

/** Keeps the skew as it was unless it really differs, so that ages are not told anew for nothing. */
function settle(known: number, measured: number): number {
  return Math.abs(measured - known) > SKEW_MS_MIN ? measured : known;
}

function raiseAlarm(batch: Batch, alarm: AlarmView): void {
  const { draft } = batch;
  if (!draft.alarms.has(alarm.uuid) && isShown(alarm)) {
    draft.announcement = `New ${alarm.severity} alarm ${alarm.alarm_id}: ${alarm.reason_text}`;
  }
  batch.change('alarms').set(alarm.uuid, alarm);
  if (draft.cleared.has(alarm.uuid)) batch.change('cleared').delete(alarm.uuid);
}

/** Whether an alarm belongs to the list as it is without masked and suppressed ones. */
export function isShown(alarm: AlarmView): boolean {
  return !alarm.masked && !alarm.suppressed;
}

function clearAlarm(batch: Batch, data: { uuid: string; reason: string }, now: number): void {
  const { draft } = batch;
  const alarm = draft.alarms.get(data.uuid);
  if (alarm === undefined) return;
  batch.change('alarms').delete(data.uuid);
  if (!isShown(alarm)) return;
  batch.change('cleared').set(data.uuid, { alarm, reason: data.reason, clearedAt: now });
  draft.announcement = `Cleared: ${alarm.severity} alarm ${alarm.alarm_id}, ${alarm.entity}`;
}

function addEvent(batch: Batch, event: EventView): void {
  // A resume may say an event again; it can only be among the newest.
  if (batch.draft.events.slice(0, 200).some((known) => known.id === event.id)) return;
  const events = batch.change('events');
  events.unshift(event);
  if (events.length > EVENTS_MAX) events.length = EVENTS_MAX;
}

function beat(
  batch: Batch,
  frame: Extract<StreamEvent, { event: 'pulse' }>['data'],
  now: number,
): void {
  const { draft } = batch;
  const heard = new Set<string>();
  for (const [host, nats, udp, silentMs, loadPercent] of frame.hosts) {
    let trace = draft.traces.get(host);
    if (trace === undefined) {
      trace = new Trace();
      batch.change('traces').set(host, trace);
    }
    trace.push(nats, udp);
    trace.silentMs = silentMs;
    trace.loadPercent = loadPercent;
    trace.windowMs = frame.window_ms;
    heard.add(host);
  }
  for (const [host, trace] of draft.traces) {
    if (heard.has(host)) continue;
    trace.skip(1);
    trace.silentMs = null;
  }
  draft.pulse = {
    heardAt: now,
    windowMs: frame.window_ms,
    tick: draft.pulse.tick + 1,
    late: false,
  };
  draft.skewMs = settle(draft.skewMs, now - Date.parse(frame.at));
}

/** The model as time goes by without word: late windows are skipped, cleared alarms go. */
export function pass(model: Model, now: number): Model {
  let next = model;
  const { pulse } = model;
  const windows = Math.floor((now - pulse.heardAt) / pulse.windowMs);
  if (pulse.heardAt > 0 && (windows >= WINDOWS_LATE_MAX || (pulse.late && windows >= 1))) {
    for (const trace of model.traces.values()) trace.skip(windows);
    const heardAt = pulse.heardAt + windows * pulse.windowMs;
    next = { ...next, pulse: { ...pulse, heardAt, tick: pulse.tick + 1, late: true } };
  }
  const gone = [...model.cleared].filter(([, entry]) => now - entry.clearedAt > CLEARED_SHOWN_MS);
  if (gone.length > 0) {
    const cleared = new Map(model.cleared);
    for (const [uuid] of gone) cleared.delete(uuid);
    next = { ...next, cleared };
  }
  return next;
}
