import { describe, expect, test } from 'vitest';
import { CLEARED_SHOWN_MS, EVENTS_MAX, emptyModel, pass, reduce, type Model } from './model';
import type { AlarmView, EventView, HealthView, HostView, StreamEvent } from './types';

const NOW = Date.parse('2025-11-22T08:00:00Z');

const health: HealthView = { status: 'ok', summary: 'All is well.', items: [], at: '2025-11-22T08:00:00Z' };

function host(name: string, more: Partial<HostView> = {}): HostView {
  return {
    ...({} as HostView), // what no test here reads
    name,
    index: 1,
    personality: 'worker',
    origin: 'namespace',
    observe_only: false,
    admission: 'accepted',
    intended_administrative: 'unlocked',
    administrative: 'unlocked',
    operational: 'enabled',
    availability: 'available',
    subfunction_operational: 'unknown',
    subfunction_availability: 'unknown',
    task: 'none',
    task_text: '',
    operation_id: '',
    deadline_at: null,
    health: [],
    gave_up: null,
    heartbeat: 'well',
    reason: '',
    address: '',
    boot_id: '',
    pulse_period_ms: 100,
    changed_at: null,
    last_heard_at: null,
    reported_at: null,
    alarms: { critical: 0, major: 0, minor: 0, warning: 0, indeterminate: 0 },
    facts: {} as HostView['facts'],
    links: [],
    ...more,
  };
}

function alarm(uuid: string, more: Partial<AlarmView> = {}): AlarmView {
  return {
    uuid,
    alarm_id: '200.004',
    entity: 'host=worker-1',
    severity: 'critical',
    alarm_type: 'communication',
    probable_cause: 'unknown',
    reason_text: 'No pulse.',
    proposed_repair_action: '',
    service_affecting: true,
    producer: 'mtce',
    raise_count: 1,
    first_raised_at: '2025-11-22T08:00:00Z',
    last_raised_at: '2025-11-22T08:00:00Z',
    additional: {},
    ...more,
  };
}

function event(n: number): EventView {
  return {
    id: `fm:1:${n}`,
    cursor: `fm:1:${n}`,
    type: 'fm.alarm.raised.v1',
    subject: 'worker-1',
    time: '2025-11-22T08:00:00Z',
    summary: `event ${n}`,
    severity: null,
    data: null,
  };
}

function snapshot(hosts: HostView[], alarms: AlarmView[] = [], events: EventView[] = []): StreamEvent {
  const site = {
    name: 'here',
    version: '0.1.0',
    started_at: '2025-11-22T05:00:00Z',
    health,
    host_count: hosts.length,
    hosts_by_availability: {},
    alarms: { critical: 0, major: 0, minor: 0, warning: 0, indeterminate: 0 },
    simulated: false,
  };
  const alarm_summary = emptyModel().summary;
  return { event: 'snapshot', data: { site, hosts, alarms, alarm_summary, events } };
}

function pulse(samples: [string, number, number, number, number][], at = NOW): StreamEvent {
  return { event: 'pulse', data: { at: new Date(at).toISOString(), window_ms: 500, hosts: samples } };
}

function after(...events: StreamEvent[]): Model {
  return reduce(emptyModel(), events, NOW);
}

describe('a snapshot', () => {
  test('fills the model, newest event first', () => {
    const model = after(snapshot([host('a')], [alarm('u')], [event(1), event(2)]));
    expect(model.loaded).toBe(true);
    expect([...model.hosts.keys()]).toEqual(['a']);
    expect([...model.alarms.keys()]).toEqual(['u']);
    expect(model.events.map((e) => e.id)).toEqual(['fm:1:2', 'fm:1:1']);
  });

  test('that follows a reset replaces what was known and keeps the traces of hosts that stay', () => {
    const before = after(snapshot([host('a'), host('b')], [alarm('u')]), pulse([['a', 5, 5, 20, 1], ['b', 5, 5, 20, 1]]));
    const model = reduce(before, [{ event: 'reset', data: { reason: 'too old' } }, snapshot([host('a')])], NOW);
    expect([...model.hosts.keys()]).toEqual(['a']);
    expect(model.alarms.size).toBe(0);
    expect([...model.traces.keys()]).toEqual(['a']);
    expect(model.traces.get('a')?.at(0)).toEqual({ nats: 5, udp: 5 });
  });
});

describe('a batch', () => {
  test('leaves the earlier model and what it did not touch as they were', () => {
    const before = after(snapshot([host('a'), host('b')]));
    const model = reduce(before, [{ event: 'host', data: host('a', { availability: 'failed' }) }], NOW);
    expect(before.hosts.get('a')?.availability).toBe('available');
    expect(model.hosts.get('a')?.availability).toBe('failed');
    expect(model.hosts.get('b')).toBe(before.hosts.get('b'));
    expect(model.alarms).toBe(before.alarms);
  });

  test('without events is the same model', () => {
    const before = after(snapshot([host('a')]));
    expect(reduce(before, [], NOW)).toBe(before);
  });
});

describe('alarms', () => {
  test('raised, changed and cleared: it stays a moment as cleared, then goes', () => {
    let model = after(snapshot([]), { event: 'alarm', data: alarm('u') });
    expect(model.announcement).toContain('New critical alarm 200.004');
    model = reduce(model, [{ event: 'alarm', data: alarm('u', { raise_count: 2 }) }], NOW);
    expect(model.alarms.get('u')?.raise_count).toBe(2);
    model = reduce(model, [{ event: 'alarm_cleared', data: { uuid: 'u', reason: 'heard again' } }], NOW);
    expect(model.alarms.size).toBe(0);
    expect(model.cleared.get('u')?.reason).toBe('heard again');
    expect(pass(model, NOW + CLEARED_SHOWN_MS).cleared.size).toBe(1);
    expect(pass(model, NOW + CLEARED_SHOWN_MS + 1).cleared.size).toBe(0);
  });

  test('raised anew while it leaves is active again', () => {
    const model = after(
      snapshot([], [alarm('u')]),
      { event: 'alarm_cleared', data: { uuid: 'u', reason: '' } },
      { event: 'alarm', data: alarm('u') },
    );
    expect(model.alarms.size).toBe(1);
    expect(model.cleared.size).toBe(0);
  });

  test('cleared though never known: nothing happens', () => {
    const model = after(snapshot([]), { event: 'alarm_cleared', data: { uuid: 'u', reason: '' } });
    expect(model.cleared.size).toBe(0);
  });
});

describe('events', () => {
  test('said again after a resume are shown once', () => {
    const model = after(snapshot([], [], [event(1)]), { event: 'log', data: event(1) }, { event: 'log', data: event(2) });
    expect(model.events.map((e) => e.id)).toEqual(['fm:1:2', 'fm:1:1']);
  });

  test('are kept up to their limit, the oldest go', () => {
    const many = Array.from({ length: EVENTS_MAX + 10 }, (_, n): StreamEvent => ({ event: 'log', data: event(n) }));
    const model = after(snapshot([]), ...many);
    expect(model.events.length).toBe(EVENTS_MAX);
    expect(model.events[0]?.id).toBe(`fm:1:${EVENTS_MAX + 9}`);
  });
});

describe('pulses', () => {
  test('fill the traces; a host that a frame does not name is unknown, not silent', () => {
    const model = after(
      snapshot([host('a'), host('b')]),
      pulse([['a', 5, 4, 20, 7], ['b', 5, 5, 20, 1]]),
      pulse([['a', 0, 0, 600, 7]]),
    );
    expect(model.traces.get('a')?.at(0)).toEqual({ nats: 0, udp: 0 });
    expect(model.traces.get('a')?.at(1)).toEqual({ nats: 5, udp: 4 });
    expect(model.traces.get('a')?.silentMs).toBe(600);
    expect(model.traces.get('b')?.at(0)).toBeNull();
    expect(model.pulse.tick).toBe(2);
  });

  test('that stop coming leave unknown windows, as many as time went by', () => {
    const before = after(snapshot([host('a')]), pulse([['a', 5, 5, 20, 1]]));
    expect(pass(before, NOW + 1_400)).toBe(before);
    const model = pass(before, NOW + 2_000);
    expect(model.pulse.late).toBe(true);
    expect(model.traces.get('a')?.at(3)).toBeNull();
    expect(model.traces.get('a')?.at(4)).toEqual({ nats: 5, udp: 5 });
    const later = pass(model, NOW + 2_500);
    expect(later.traces.get('a')?.at(5)).toEqual({ nats: 5, udp: 5 });
  });

  test('tell how far the two clocks are apart', () => {
    expect(after(snapshot([]), pulse([], NOW - 3_000)).skewMs).toBe(3_000);
  });
});

test('a removed host takes its trace with it', () => {
  const model = after(snapshot([host('a')]), pulse([['a', 5, 5, 20, 1]]), { event: 'host_removed', data: { name: 'a' } });
  expect(model.hosts.size).toBe(0);
  expect(model.traces.size).toBe(0);
});
