import { describe, expect, test } from 'vitest';
import { span, utc } from './time';
import { Trace, TRACE_WINDOWS } from './trace';
import type { Alarm, HostView } from './types';
import { alarmOrder, byName, eventIsAbout, hostOfEntity, plainState, shortType, siteLabels, standing } from './words';

function host(more: Partial<HostView>): HostView {
  return {
    name: 'worker-1',
    origin: 'machine',
    observe_only: false,
    admission: 'accepted',
    intended_administrative: 'unlocked',
    administrative: 'unlocked',
    operational: 'enabled',
    availability: 'available',
    task: '',
    ...more,
  } as HostView;
}

describe('a host in plain words', () => {
  test.each([
    [{}, 'In service', 'service'],
    [{ availability: 'degraded' }, 'In service, degraded', 'degraded'],
    [{ operational: 'disabled', availability: 'failed' }, 'Failed', 'failed'],
    [{ operational: 'disabled', availability: 'offline' }, 'Offline', 'offline'],
    [{ operational: 'disabled', availability: 'online' }, 'Online, not in service', 'waiting'],
    [{ operational: 'unknown', availability: 'unknown' }, 'Not known yet', 'waiting'],
    [
      { administrative: 'locked', intended_administrative: 'locked', operational: 'disabled', availability: 'online' },
      'Locked, online',
      'locked',
    ],
    [{ intended_administrative: 'locked', task: 'moving_services' }, 'In service, to be locked, moving services', 'service'],
    [{ admission: 'discovered', operational: 'disabled', availability: 'online' }, 'Waiting to be accepted', 'waiting'],
  ] as [Partial<HostView>, string, string][])('%o is %s', (more, words, where) => {
    expect(plainState(host(more))).toBe(words);
    expect(standing(host(more))).toBe(where);
  });
});

test('the host of an entity is found wherever it stands in the path', () => {
  expect(hostOfEntity('host=worker-1')).toBe('worker-1');
  expect(hostOfEntity('site=a.host=worker-1.link=eth0')).toBe('worker-1');
  expect(hostOfEntity('ghost=worker-1')).toBeNull();
  expect(eventIsAbout('200.004/host=worker-1', 'worker-1')).toBe(true);
  expect(eventIsAbout('200.004/host=worker-1', 'worker-10')).toBe(false);
});

test('names sort as people count', () => {
  expect(['w-10', 'w-9', 'w-1'].map((name) => ({ name })).sort(byName).map((h) => h.name)).toEqual(['w-1', 'w-9', 'w-10']);
});

test('alarms sort worst first, then newest first', () => {
  const alarms = [
    { uuid: 'a', severity: 'minor', first_raised_at: '2025-01-03T00:00:00Z' },
    { uuid: 'b', severity: 'critical', first_raised_at: '2025-01-01T00:00:00Z' },
    { uuid: 'c', severity: 'critical', first_raised_at: '2025-01-02T00:00:00Z' },
    { uuid: 'd', severity: 'of-a-newer-sender', first_raised_at: '2025-01-02T00:00:00Z' },
  ] as unknown as Alarm[];
  expect(alarms.sort(alarmOrder).map((a) => a.uuid)).toEqual(['c', 'b', 'a', 'd']);
});

test('whatever is not an ordinary machine is labelled', () => {
  const labels = siteLabels([host({}), host({ origin: 'simulated' }), host({ origin: 'namespace', observe_only: true })]);
  expect(labels.map((label) => label.text)).toEqual(['1 simulated', '1 namespace', '1 observe-only']);
  expect(siteLabels([host({})])).toEqual([]);
});

test('types lose their version', () => {
  expect(shortType('mtce.host.state_changed.v1')).toBe('mtce.host.state_changed');
});

test('spans and instants', () => {
  expect([-5, 59_999, 60_000, 7_500_000, 90_000_000].map(span)).toEqual(['0 s', '59 s', '1 min', '2 h 05 min', '1 d 1 h']);
  expect(utc('2025-11-22T08:26:03.123Z')).toBe('2025-11-22 08:26:03.123 UTC');
  expect(utc('nonsense')).toBe('');
});

test('a trace forgets what is older than its ring', () => {
  const trace = new Trace();
  expect(trace.at(0)).toBeNull();
  trace.push(1, 2);
  for (let n = 0; n < TRACE_WINDOWS; n += 1) trace.push(5, 500);
  expect(trace.at(TRACE_WINDOWS - 1)).toEqual({ nats: 5, udp: 254 });
  expect(trace.at(TRACE_WINDOWS)).toBeNull();
  trace.skip(1_000_000);
  expect(trace.at(0)).toBeNull();
});
