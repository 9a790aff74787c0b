import { describe, expect, test } from 'vitest';
import { groups, marks, type Choice } from './alarms';
import type { AlarmView } from './types';

const ALL: Choice = { severity: null, masked: false, suppressed: false };

function alarm(uuid: string, more: Partial<AlarmView> = {}): AlarmView {
  return {
    uuid,
    alarm_id: '100.108',
    entity: 'host=worker-1.port=eth0',
    severity: 'critical',
    alarm_type: 'communication',
    probable_cause: 'unknown',
    reason_text: 'It is down.',
    producer: 'mtce',
    raise_count: 1,
    first_raised_at: '2025-11-22T08:00:00Z',
    last_raised_at: '2025-11-22T08:00:00Z',
    ...more,
  };
}

const root = alarm('root', { severity: 'major', impacted_count: 96 });
const below = [1, 2, 3].map((n) => alarm(`b${n}`, { root_cause: 'root' }));
const alone = alarm('alone', { severity: 'minor' });

describe('groups', () => {
  test('stand by what nothing explains, with what it explains below', () => {
    const found = groups([...below, alone, root], ALL);
    expect(found.map((group) => group.top.uuid)).toEqual(['root', 'alone']);
    expect(found[0]?.below.map((each) => each.uuid)).toEqual(['b1', 'b2', 'b3']);
    expect(found.map((group) => group.count)).toEqual([96, 0]);
  });

  test('show an alarm by itself when its root is not here', () => {
    expect(groups(below, ALL).map((group) => group.top.uuid)).toEqual(['b1', 'b2', 'b3']);
  });

  test('are of single alarms when a severity is chosen', () => {
    const found = groups([...below, root], { ...ALL, severity: 'critical' });
    expect(found.map((group) => group.top.uuid)).toEqual(['b1', 'b2', 'b3']);
  });

  test('leave out what is masked or suppressed unless it is asked for', () => {
    const hidden = [alarm('m', { masked: true }), alarm('s', { suppressed: true })];
    expect(groups(hidden, ALL)).toEqual([]);
    expect(groups(hidden, { ...ALL, masked: true }).map((g) => g.top.uuid)).toEqual(['m']);
    expect(groups(hidden, { ...ALL, suppressed: true }).map((g) => g.top.uuid)).toEqual(['s']);
  });
});

test('marks say what else is to be known', () => {
  expect(marks(alone)).toEqual([]);
  const much = alarm('x', { acknowledged_at: '2025-11-22T08:00:00Z', acknowledged_by: 'ada', masked: true });
  expect(marks(much)).toEqual(['acknowledged by ada', 'masked']);
});
