/** The gateway's payloads as the contract has them, and the stream's events made of them. */

import type {
  Alarm,
  EventView,
  HealthView,
  HostView,
  PulseFrame,
  SiteView,
} from '../../../proto/generated/typescript';

export type {
  Alarm,
  EventView,
  HealthView,
  HostView,
  Instant,
  Link,
  Origin,
  Severity,
  SiteView,
} from '../../../proto/generated/typescript';

/** First event of a stream that does not resume. */
export interface Snapshot {
  site: SiteView;
  hosts: HostView[];
  alarms: Alarm[];
  events: EventView[];
}

/** What the stream sends, by the name of the SSE event. */
export type StreamEvent =
  | { event: 'snapshot'; data: Snapshot }
  | { event: 'host'; data: HostView }
  | { event: 'host_removed'; data: { name: string } }
  | { event: 'alarm'; data: Alarm }
  | { event: 'alarm_cleared'; data: { uuid: string; reason: string } }
  | { event: 'log'; data: EventView }
  | { event: 'pulse'; data: PulseFrame }
  | { event: 'health'; data: HealthView }
  | { event: 'reset'; data: { reason: string } };
