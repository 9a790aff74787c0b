import { expect, test } from 'vitest';
import { stack } from './plot';

test('each severity stands on the worse ones, the mildest is drawn first', () => {
  const { data, names } = stack({
    bucket_s: 60,
    buckets: [
      { start: '2025-11-22T08:00:00Z', raised: 3, cleared: 0, active: { critical: 1, minor: 2 } },
      { start: '2025-11-22T08:01:00Z', raised: 0, cleared: 3, active: {} },
    ],
  });
  expect(names).toEqual(['indeterminate', 'warning', 'minor', 'major', 'critical']);
  expect(data[0]).toEqual([1763798460, 1763798520]);
  expect(data.slice(1)).toEqual([[3, 0], [3, 0], [3, 0], [1, 0], [1, 0]]);
});
