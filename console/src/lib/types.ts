/** The gateway's payloads (/api/v1), as JSON has them. */

/** RFC 3339, UTC. */
export type Instant = string;

export type Severity = 'critical' | 'major' | 'minor' | 'warning' | 'indeterminate' | 'unknown';
export type Personality = 'controller' | 'worker' | 'storage' | 'unknown';
export type Origin = 'machine' | 'namespace' | 'simulated' | 'unknown';
export type Admission = 'discovered' | 'accepted' | 'unknown';
export type Administrative = 'locked' | 'unlocked' | 'unknown';
export type Operational = 'enabled' | 'disabled' | 'unknown';
export type Availability = 'offline' | 'online' | 'available' | 'degraded' | 'failed' | 'unknown';
export type HeartbeatState = 'awaited' | 'well' | 'minor' | 'degraded' | 'lost' | 'unknown';
export type HealthStatus = 'ok' | 'degraded' | 'down';

export interface AlarmCounts {
  critical: number;
  major: number;
  minor: number;
  warning: number;
  indeterminate: number;
}

export interface Link {
  name: string;
  index: number;
  kind: string;
  mac: string;
  mtu_bytes: number;
  admin_up: boolean;
  oper_up: boolean;
  speed_mbps: number;
  addresses: string[];
}

export interface HostFacts {
  vendor: string;
  product: string;
  serial: string;
  firmware: string;
  architecture: string;
  kernel: string;
  os: string;
  cpu_model: string;
  cpu_count: number;
  memory_bytes: number;
  numa_node_count: number;
  virtualization: string;
}

export interface HostView {
  name: string;
  index: number;
  personality: Personality;
  origin: Origin;
  observe_only: boolean;
  admission: Admission;
  intended_administrative: Administrative;
  administrative: Administrative;
  operational: Operational;
  availability: Availability;
  task: string;
  heartbeat: HeartbeatState;
  reason: string;
  address: string;
  boot_id: string;
  pulse_period_ms: number;
  changed_at: Instant | null;
  last_heard_at: Instant | null;
  reported_at: Instant | null;
  alarms: AlarmCounts;
  facts: HostFacts;
  links: Link[];
}

export interface Alarm {
  uuid: string;
  alarm_id: string;
  entity: string;
  severity: Severity;
  alarm_type: string;
  probable_cause: string;
  reason_text: string;
  proposed_repair_action: string;
  service_affecting: boolean;
  producer: string;
  raise_count: number;
  first_raised_at: Instant;
  last_raised_at: Instant;
  additional: Record<string, string>;
}

export interface EventView {
  id: string;
  cursor: string;
  type: string;
  subject: string;
  time: Instant;
  summary: string;
  severity: Severity | null;
  data: unknown;
}

export interface HealthItem {
  name: string;
  status: HealthStatus | string;
  reason: string;
  instances: number;
  relay_lag: number;
  parked: number;
}

export interface HealthView {
  status: HealthStatus | string;
  summary: string;
  items: HealthItem[];
  at: Instant;
}

export interface SiteView {
  name: string;
  version: string;
  started_at: Instant;
  health: HealthView;
  host_count: number;
  hosts_by_availability: Record<string, number>;
  alarms: AlarmCounts;
  simulated: boolean;
}

/** [host, received on NATS, received by UDP, silent_ms, load_percent] */
export type PulseSample = [string, number, number, number, number];

export interface PulseFrame {
  at: Instant;
  window_ms: number;
  hosts: PulseSample[];
}

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
