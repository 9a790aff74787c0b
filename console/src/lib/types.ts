/** The gateway's payloads as the contract has them, and the stream's events made of them. */

import type {
  AlarmSummary,
  AlarmView,
  EventView,
  HealthView,
  HostView,
  PulseFrame,
  SiteView,
} from '../../../proto/generated/typescript';

export type {
  ActionReply,
  Alarm,
  AlarmCountsReply,
  AlarmList,
  AlarmSummary,
  AlarmView,
  EventView,
  HealthView,
  HistoryEntry,
  HistoryPage,
  HostView,
  Instant,
  Link,
  Origin,
  Severity,
  SiteView,
  Why,
} from '../../../proto/generated/typescript';

/** First event of a stream that does not resume. */
export interface Snapshot {
  site: SiteView;
  hosts: HostView[];
  alarms: AlarmView[];
  alarm_summary: AlarmSummary;
  events: EventView[];
}

/** What the stream sends, by the name of the SSE event. */
export type StreamEvent =
  | { event: 'snapshot'; data: Snapshot }
  | { event: 'host'; data: HostView }
  | { event: 'host_removed'; data: { name: string } }
  | { event: 'alarm'; data: AlarmView }
  | { event: 'alarm_summary'; data: AlarmSummary }
  | { event: 'alarm_cleared'; data: { uuid: string; reason: string } }
  | { event: 'log'; data: EventView }
  | { event: 'pulse'; data: PulseFrame }
  | { event: 'health'; data: HealthView }
  | { event: 'reset'; data: { reason: string } };
