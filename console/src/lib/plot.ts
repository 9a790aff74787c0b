/** Counts over time as stacked areas: each severity on top of the worse ones, drawn mildest first. */

import type { AlignedData } from 'uplot';
import type { AlarmCountsReply } from './types';
import { SEVERITIES, type KnownSeverity } from './words';

export interface Stack {
  data: AlignedData;
  /** The severities in the order of `data`, mildest first, so that worse ones cover their part. */
  names: KnownSeverity[];
}

/** Worst at the bottom; each series is the sum of its severity and all worse ones. */
export function stack(counts: AlarmCountsReply): Stack {
  const times = counts.buckets.map((bucket) => Date.parse(bucket.start) / 1000 + counts.bucket_s);
  const sums = counts.buckets.map(() => 0);
  const series = SEVERITIES.map((name) =>
    counts.buckets.map((bucket, place) => {
      sums[place] = (sums[place] ?? 0) + (bucket.active[name] ?? 0);
      return sums[place];
    }),
  );
  return { data: [times, ...series.reverse()] as AlignedData, names: [...SEVERITIES].reverse() };
}
