// Generated from the registry by `python -m murmuration.proto.generate`; do not edit.
// Open enums accept members this version does not know: show them as they are.

/** UTC instant, RFC 3339. */
export type Instant = string;

/** Accept a discovered host into the site. */
export interface AcceptHost {
  operation_id: string;
  host: string;
}

/** Reply to a command: done, and the change a reader can wait for. */
export interface Accepted {
  operation_id: string;
  service: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  /** one sentence: what was done, or why nothing was */
  reason: string;
}

/** An operator takes note of an alarm, or (`acknowledged` false) takes that back. */
export interface AcknowledgeAlarm {
  operation_id: string;
  uuid: string;
  /** who did it, as the gateway knows */
  author: string;
  acknowledged?: boolean;
}

/** Have something done with a host: sysinv checks what it owns, notes it and orders it. */
export interface ActOnHost {
  operation_id: string;
  host: string;
  action: HostAction;
}

/** Whether an action would be taken on, and why not. */
export interface ActionCheck {
  refusal: RefusalCode;
  /** one sentence, empty when it would be taken on */
  reason: string;
}

/** What became of a change request; `after` is what to pass as `?after=` to read your write. */
export interface ActionReply {
  operation_id: string;
  reason: string;
  /** <service>:<epoch>:<change> */
  after: string;
}

/** Body of a POST that needs no more than an operation id (one is made when absent). */
export interface ActionRequest {
  operation_id?: string | null;
}

/** Silence alarms for a time. */
export interface AddSilence {
  operation_id: string;
  matchers: Matcher[];
  /** none: now */
  starts_at?: Instant | null;
  ends_at: Instant;
  /** who did it, as the gateway knows */
  author: string;
  comment?: string;
}

/**
 * Hide alarms from lists, summaries and notifications; they are kept and recorded as ever.
 * At least one of alarm id, entity and severities. The same scope again takes the new
 * comment and expiry, under the same id.
 */
export interface AddSuppression {
  operation_id: string;
  /** GGG.EEE; empty: any */
  alarm_id?: string;
  entity?: string;
  severities?: Severity[];
  /** who did it, as the gateway knows */
  author: string;
  comment?: string;
  expires_at?: Instant | null;
}

/** X.731 administrative state. */
export type Administrative = "locked" | "unlocked" | "unknown" | (string & {});

/** Body of PUT /api/v1/hosts/{name}/administrative. */
export interface AdministrativeRequest {
  administrative: Administrative;
  operation_id?: string | null;
}

/** Whether the operator wants this host. */
export type Admission = "discovered" | "accepted" | "unknown" | (string & {});

/**
 * One active alarm; its uuid stays the same from first raise to clear. Fields that have
 * their default are left out where it travels.
 */
export interface Alarm {
  uuid: string;
  /** GGG.EEE */
  alarm_id: string;
  /** path of key=value, outermost first */
  entity: string;
  severity: Severity;
  /** what the producer said, where the profile says otherwise */
  reported_severity?: Severity | null;
  alarm_type: AlarmType;
  probable_cause: string;
  specific_problem?: string;
  reason_text: string;
  proposed_repair_action?: string;
  service_affecting?: boolean;
  /** severity reaches the catalogue's threshold for orchestration */
  management_affecting?: boolean;
  /** severity reaches the catalogue's threshold for degrade */
  degrade_affecting?: boolean;
  /** an inhibiting alarm may mask it */
  suppressible?: boolean;
  /** masks suppressible alarms on and below */
  inhibits?: boolean;
  /** an inhibiting alarm stands above it */
  masked?: boolean;
  /** an operator's suppression covers it */
  suppressed?: boolean;
  /** the catalogue does not know its id */
  quarantined?: boolean;
  /** its producer no longer asserts it */
  stale?: boolean;
  /** who did it, as the gateway knows */
  acknowledged_by?: string;
  acknowledged_at?: Instant | null;
  comments?: Comment[];
  trend?: Trend;
  threshold?: Threshold | null;
  /** uuid of the alarm that causes it */
  root_cause?: string;
  /** the rule that found the cause */
  correlated_by?: string;
  /** raised and cleared again and again */
  flapping?: boolean;
  /** transitions in the flap window */
  flap_count?: number;
  producer: string;
  /** raises since the first, that included */
  raise_count: number;
  first_raised_at: Instant;
  last_raised_at: Instant;
  /** last change of what it says */
  changed_at?: Instant | null;
  /** cleared when not raised for so long; 0: never, in seconds */
  lease_s?: number;
  /** as the producer says */
  additional?: Record<string, string>;
}

/**
 * An active alarm is not as it was: `changed` names the fields, none when told afresh.
 * `raise_count` alone is told at most every few seconds.
 */
export interface AlarmChanged {
  alarm: Alarm;
  changed: string[];
  /** who did it, as the gateway knows */
  author: string;
}

/** A fault is gone, or an operator cleared its alarm. */
export interface AlarmCleared {
  alarm: Alarm;
  cleared_at: Instant;
  reason: string;
  /** who did it, as the gateway knows */
  author: string;
}

/** Active alarms by severity. */
export interface AlarmCounts {
  /** active alarms of this severity */
  critical: number;
  /** active alarms of this severity */
  major: number;
  /** active alarms of this severity */
  minor: number;
  /** active alarms of this severity */
  warning: number;
  /** active alarms of this severity */
  indeterminate: number;
}

/** Alarms over time, oldest first. */
export interface AlarmCountsReply {
  /** in seconds */
  bucket_s: number;
  buckets: CountsBucket[];
}

/**
 * A page of alarms: what nothing explains first, then what a root explains. Within each,
 * worst first, newest first within a severity. With `at`, as they were at that instant, in
 * no order of severity.
 */
export interface AlarmList {
  items: AlarmView[];
  next: string | null;
  at: Instant | null;
}

/** A fault that was not there before. */
export interface AlarmRaised {
  alarm: Alarm;
}

/** Active alarms in figures; masked and suppressed ones are in no figure but their own. */
export interface AlarmSummary {
  counts: AlarmCounts;
  /** alarms that explain others */
  root_count: number;
  /** alarms that a root explains */
  impacted_count: number;
  acknowledged_count: number;
  /** an inhibiting alarm stands above */
  masked_count: number;
  /** an operator hid them */
  suppressed_count: number;
}

/** X.733 and X.736 event type, and the further ones of the alarm catalogue. */
export type AlarmType = "other" | "communication" | "quality-of-service" | "processing-error" |
  "equipment" | "environmental" | "integrity-violation" | "operational-violation" |
  "physical-violation" | "security-service-or-mechanism-violation" | "time-domain-violation" |
  "deployment-in-progress" | "unknown" | (string & {});

/** An active alarm, and how many others it explains. */
export interface AlarmView {
  uuid: string;
  /** GGG.EEE */
  alarm_id: string;
  /** path of key=value, outermost first */
  entity: string;
  severity: Severity;
  /** what the producer said, where the profile says otherwise */
  reported_severity?: Severity | null;
  alarm_type: AlarmType;
  probable_cause: string;
  specific_problem?: string;
  reason_text: string;
  proposed_repair_action?: string;
  service_affecting?: boolean;
  /** severity reaches the catalogue's threshold for orchestration */
  management_affecting?: boolean;
  /** severity reaches the catalogue's threshold for degrade */
  degrade_affecting?: boolean;
  /** an inhibiting alarm may mask it */
  suppressible?: boolean;
  /** masks suppressible alarms on and below */
  inhibits?: boolean;
  /** an inhibiting alarm stands above it */
  masked?: boolean;
  /** an operator's suppression covers it */
  suppressed?: boolean;
  /** the catalogue does not know its id */
  quarantined?: boolean;
  /** its producer no longer asserts it */
  stale?: boolean;
  /** who did it, as the gateway knows */
  acknowledged_by?: string;
  acknowledged_at?: Instant | null;
  comments?: Comment[];
  trend?: Trend;
  threshold?: Threshold | null;
  /** uuid of the alarm that causes it */
  root_cause?: string;
  /** the rule that found the cause */
  correlated_by?: string;
  /** raised and cleared again and again */
  flapping?: boolean;
  /** transitions in the flap window */
  flap_count?: number;
  producer: string;
  /** raises since the first, that included */
  raise_count: number;
  first_raised_at: Instant;
  last_raised_at: Instant;
  /** last change of what it says */
  changed_at?: Instant | null;
  /** cleared when not raised for so long; 0: never, in seconds */
  lease_s?: number;
  /** as the producer says */
  additional?: Record<string, string>;
  /** active alarms whose root cause this is */
  impacted_count?: number;
}

/** A page of alarms as they were. */
export interface AlarmsPage {
  at: Instant;
  items: Alarm[];
  next: string | null;
}

/** Ask what is known of a host's BMC, sensors and release. */
export interface AskBmc {
  host: string;
}

/** Ask what a host's agent last said of its health. */
export interface AskHealth {
  host: string;
}

/** Ask what an action would do; nothing is changed. */
export interface AskPlan {
  host: string;
  action: HostAction;
}

/** sysinv missed a delta of this host: the agent sends a full report. */
export interface AskReport {
  host: string;
}

/** Ask why a host is as it is. */
export interface AskWhy {
  host: string;
  /** the last ones at most */
  limit?: number;
}

/** What the operator's policy asks of mtce for a condition; the agent never does it itself. */
export type AskedAction = "none" | "reset" | "power-cycle" | "unknown" | (string & {});

/** X.731 availability status, with the words operators of this field know. */
export type Availability = "offline" | "online" | "available" | "degraded" | "failed" | "intest" |
  "power-off" | "offduty" | "not-installed" | "unknown" | (string & {});

/** What a BMC last said of its machine's power. */
export type BmcPower = "on" | "off" | "changing" | "unknown" | (string & {});

/** How a host's BMC is spoken to. */
export type BmcProtocol = "dynamic" | "redfish" | "ipmi" | "unknown" | (string & {});

/** Where the BMC of a host is. The password, if one is given, goes to the secret store only. */
export interface BmcRequest {
  operation_id?: string | null;
  bmc: HostBmc;
  password?: string | null;
}

/** One sensor of a host, read by its BMC. */
export interface BmcSensor {
  name: string;
  /** temperature, fans, voltage, power, … */
  group: string;
  state: BmcSensorState;
  /** in `unit`; none: it cannot be read */
  value: number | null;
  unit: string;
}

/** How a sensor stands to its thresholds. */
export type BmcSensorState = "ok" | "offline" | "minor" | "major" | "critical" | "unknown" |
  (string & {});

/** How a host's BMC is, as last audited. */
export interface BmcState {
  host: string;
  reachable: boolean;
  power: BmcPower;
  /** the one it was found to speak */
  protocol: BmcProtocol;
  uuid: string;
  serial: string;
  product: string;
  firmware: string;
  changed_at: Instant;
  /** one sentence for people */
  reason: string;
}

/** A BMC was reached or lost, or its machine's power changed. */
export interface BmcStateChanged {
  state: BmcState;
}

/** How the certificate of a BMC is checked before the password is said. */
export type BmcTrust = "pin" | "ca" | "insecure" | "plaintext" | "unknown" | (string & {});

/** All that mtce knows of a host out of band. */
export interface BmcView {
  host: string;
  declared: HostBmc | null;
  secret_stored: boolean;
  state: BmcState | null;
  sensors: BmcSensor[];
  release: Release | null;
}

/** What the catalogue, and the operators' profile, say of one id. */
export interface CatalogueEntry {
  /** GGG.EEE */
  id: string;
  /** alarm or log */
  kind: string;
  summary: string;
  /** what it is raised on */
  entities?: string[];
  severities: Severity[];
  alarm_types: AlarmType[];
  probable_cause: string;
  /** at these severities */
  service_affecting?: Severity[];
  suppressible?: boolean;
  inhibits?: boolean;
  management_reach?: Reach;
  degrade_reach?: Reach;
  /** what to do about it */
  repair?: string;
  /** which product raises it */
  context?: string;
  /** given to all by the profile */
  severity?: Severity | null;
  /** who set the profile, and why; empty: none */
  profile?: string;
}

/** A page of the catalogue, by id. */
export interface CataloguePage {
  items: CatalogueEntry[];
  next: string | null;
}

/** One step from an alarm towards its root. */
export interface Cause {
  alarm: Alarm;
  rule: string;
  /** one sentence with the evidence */
  reason: string;
}

/** Ask what sysinv would say to an action; nothing is changed or noted. */
export interface CheckAction {
  host: string;
  action: HostAction;
}

/** A producer says that a fault is gone; nothing happens where none was. */
export interface ClearAlarm {
  /** GGG.EEE */
  alarm_id: string;
  /** path of key=value, outermost first */
  entity: string;
  cleared_at: Instant;
  reason?: string;
}

/** An operator clears an active alarm; a producer that still sees the fault raises it anew. */
export interface ClearAlarmByOperator {
  operation_id: string;
  uuid: string;
  /** who did it, as the gateway knows */
  author?: string;
  reason?: string;
}

/**
 * Everything wrong with an entity and with what lies below it is gone: one clear per alarm.
 * `host=c-1` covers `host=c-1.port=eth0` and never `host=c-10`.
 */
export interface ClearBelow {
  /** path of key=value, outermost first */
  entity: string;
  /** GGG.EEE; empty: any */
  alarm_id?: string;
  cleared_at: Instant;
  reason?: string;
}

/** What a person noted on an alarm. */
export interface Comment {
  at: Instant;
  /** who did it, as the gateway knows */
  author: string;
  text: string;
}

/** An operator notes something on an alarm. */
export interface CommentAlarm {
  operation_id: string;
  uuid: string;
  /** who did it, as the gateway knows */
  author: string;
  text: string;
}

/** Body of POST /api/v1/alarms/{uuid}/comments. */
export interface CommentRequest {
  operation_id?: string | null;
  /** who did it, as the gateway knows */
  author?: string;
  text: string;
}

/** Something that is wrong on a host now. */
export interface Condition {
  kind: ConditionKind;
  name: string;
  severity: Severity;
  asked: AskedAction;
  /** one sentence for people */
  reason: string;
  since: Instant;
}

/** What a condition of a host's health is about. */
export type ConditionKind = "process" | "resource" | "filesystem" | "stall" | "sensor" | "link" |
  "monitor" | "unknown" | (string & {});

/** Have a held effect done after all, once. */
export interface ConfirmHeld {
  operation_id: string;
  /** as its service counts its effects */
  id: number;
}

/** What happened in one stretch of time. */
export interface CountsBucket {
  start: Instant;
  /** alarms raised in it */
  raised: number;
  /** alarms cleared in it */
  cleared: number;
  /** at its end */
  active: Record<string, number>;
}

/** A host is degraded, or other alarms degrade it now. */
export interface DegradeAsserted {
  host: string;
  degrade: HostDegrade;
}

/** No active alarm degrades the host any more. */
export interface DegradeCleared {
  host: string;
  at: Instant;
}

/** Hosts that alarms degrade, by name. */
export interface DegradeList {
  items: HostDegrade[];
}

/** Have a held effect not done: it counts as failed. */
export interface DropHeld {
  operation_id: string;
  /** as its service counts its effects */
  id: number;
}

/** Forget a parked message for good. */
export interface DropParked {
  operation_id: string;
  /** as its service counts what it set aside */
  id: number;
}

/** How a boot, or only the agent of a host, comes to its end. */
export type EndKind = "rebooting" | "powering-off" | "agent-stopping" | "unknown" | (string & {});

/** An agent introduces its host; repeated at every start of the agent. */
export interface EnrolHost {
  operation_id: string;
  host: string;
  personality: Personality;
  /** what else it is for: a worker, on an all-in-one controller */
  subfunctions?: Personality[];
  origin: Origin;
  observe_only: boolean;
  boot_id: string;
  address?: string;
  /** public key of the heartbeat sender, made on the host */
  pulse_nkey?: string;
}

/** What a host needs to take part: its index and the key of its pulses. */
export interface EnrolReply {
  host: string;
  /** pulse index, given at enrolment */
  index: number;
  /** pulse shard */
  shard: number;
  /** in milliseconds */
  pulse_period_ms: number;
  /** hex, 32 bytes; keys the frame's BLAKE2s MAC */
  pulse_key: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  /** credentials of the sender, for `pulse_nkey` */
  pulse_jwt: string;
  /** PEM, authorities to trust from now on; empty: as is */
  ca: string;
}

/** A service's database began a new life: readers take what follows as the whole state. */
export interface EpochStarted {
  service: string;
  /** life of the service's database */
  epoch: number;
  reason: string;
}

/** A page of events, oldest first. */
export interface EventList {
  items: EventView[];
  next: string | null;
}

/** One event of the platform, as the stream, the list and the console show it. */
export interface EventView {
  /** ce-id: <service>:<epoch>:<change> */
  id: string;
  /** resume after this one: ?after= or Last-Event-ID */
  cursor: string;
  type: string;
  /** key of what changed */
  subject: string;
  time: Instant;
  /** one sentence for people */
  summary: string;
  severity: Severity | null;
  /** the event's payload */
  data: unknown;
}

/** End a silence now. */
export interface ExpireSilence {
  operation_id: string;
  id: string;
  /** who did it, as the gateway knows */
  author: string;
}

/** When a lost host's workload is released: the host label `fence`. */
export type FencePolicy = "graceful" | "fast" | "unknown" | (string & {});

/** How careful an orchestrated change is about alarms. */
export type Gate = "strict" | "relaxed" | "permissive" | "unknown" | (string & {});

/** A gate is blocked, or other alarms block it now. */
export interface GateBlocked {
  gate: Gate;
  state: GateState;
}

/** Nothing blocks a gate any more. */
export interface GateFreed {
  gate: Gate;
  state: GateState;
}

/** The gates of orchestrated changes, strictest first, as far as fm has told of them. */
export interface GateList {
  items: GateState[];
}

/** Whether a gate is blocked, and by what. */
export interface GateState {
  gate: Gate;
  blocked: boolean;
  /** uuids of alarms, worst first */
  causes: string[];
  /** all of them */
  cause_count: number;
  since: Instant;
}

/** Ask for the number of alarms over time, masked and suppressed ones included. */
export interface GetAlarmCounts {
  since: Instant;
  until?: Instant | null;
  /** 1,000 buckets at most, in seconds */
  bucket_s: number;
}

/**
 * Ask which alarms were active at an instant, as they were then; in no order of severity. As
 * far back as history is kept.
 */
export interface GetAlarmsAt {
  at: Instant;
  /** `next` of the page before */
  after?: string;
  /** records at most */
  limit?: number;
}

/** Ask for the catalogue, or for one id of it. */
export interface GetCatalogue {
  /** GGG.EEE; empty: any */
  id?: string;
  /** `next` of the page before */
  after?: string;
  /** records at most */
  limit?: number;
}

/** Ask what a service holds back, behind `after`. */
export interface GetHeld {
  /** those behind this id */
  after?: number;
  /** effects at most */
  limit?: number;
}

/** Ask for history, newest first; what is named must fit. A `uuid` is an alarm's timeline. */
export interface GetHistory {
  since?: Instant | null;
  until?: Instant | null;
  uuid?: string;
  /** GGG.EEE; empty: any */
  alarm_id?: string;
  /** this one and what is below it */
  entity?: string;
  kinds?: HistoryKind[];
  severities?: Severity[];
  oldest_first?: boolean;
  /** `next` of the page before */
  after?: string;
  /** records at most */
  limit?: number;
}

/** Ask how far a producer's messages were taken in; `order.<sender>` names its orders. */
export interface GetMark {
  producer: string;
}

/** Ask what a service has set aside: one by its `id`, or (0) the oldest behind `after`. */
export interface GetParked {
  /** this one alone, with headers and body */
  id?: number;
  /** those behind this id */
  after?: number;
  /** messages at most */
  limit?: number;
}

/** Ask who is told, and how it is going. */
export interface GetReceivers {
}

/** Ask for the routes and mute times. */
export interface GetRouting {
}

/** Ask for the silences in force and to come; `expired`: those of the last day too. */
export interface GetSilences {
  expired?: boolean;
}

/** Ask a service how it is. */
export interface GetStatus {
}

/** Ask why an active alarm is there. */
export interface GetWhy {
  uuid: string;
}

/** Why a host in service counts as degraded; it has none when it is well. */
export type HealthCause = "heartbeat" | "cluster-heartbeat" | "process" | "resource" | "sensor" |
  "subfunction" | "sm" | "config" | "luks" | "alarm" | "unknown" | (string & {});

/** The health of one part. */
export interface HealthItem {
  name: string;
  /** ok, degraded or down */
  status: string;
  /** one sentence, empty when ok */
  reason: string;
  /** processes of it that answer */
  instances: number;
  /** outbox rows not yet on the bus */
  relay_lag: number;
  /** messages not yet taken in */
  consumer_lag: number;
  /** messages set aside as undecodable */
  parked: number;
}

/** The platform's own health, seen without fm. */
export interface HealthView {
  /** ok, degraded or down: the worst of the items */
  status: string;
  /** one sentence */
  summary: string;
  items: HealthItem[];
  at: Instant;
}

/** What the monitor thinks of a host's pulses. */
export type HeartbeatState = "awaited" | "well" | "minor" | "degraded" | "lost" | "unknown" |
  (string & {});

/** Something that must not happen twice, decided before its service's database was put back. */
export interface HeldEffect {
  /** as its service counts its effects */
  id: number;
  operation_id: string;
  kind: string;
  entity: string;
  decided_at: Instant;
  held_at: Instant;
}

/** What a service holds back until it is observed, confirmed or dropped; oldest first. */
export interface HeldEffects {
  service: string;
  effects: HeldEffect[];
}

/** What the services hold back, each oldest first, as far as they answer. */
export interface HeldList {
  items: HeldView[];
  /** services that did not answer */
  away: string[];
}

/** An effect that a service holds back. */
export interface HeldView {
  service: string;
  effect: HeldEffect;
}

/** One thing that happened to an alarm, or one log entry. */
export interface HistoryEntry {
  /** grows in the order in which fm recorded it */
  id: number;
  at: Instant;
  recorded_at: Instant;
  kind: HistoryKind;
  /** as it was afterwards; none for a log */
  alarm?: Alarm | null;
  log?: LogEntry | null;
  /** the fields that changed */
  changed?: string[];
  reason?: string;
  /** the operator, empty for a producer or fm */
  author?: string;
}

/** What happened. */
export type HistoryKind = "raised" | "changed" | "cleared" | "logged" | "unknown" | (string & {});

/** A page of history. */
export interface HistoryPage {
  items: HistoryEntry[];
  next: string | null;
}

/** One host: what was declared of it and what its agent last reported. */
export interface Host {
  /** RFC 1123 label */
  name: string;
  /** pulse index, given at enrolment */
  index: number;
  /** pulse shard */
  shard: number;
  personality: Personality;
  /** what else it is for: a worker, on an all-in-one controller */
  subfunctions: Personality[];
  origin: Origin;
  /** agents refuse every change on this host */
  observe_only: boolean;
  admission: Admission;
  intended_administrative: Administrative;
  /** management address, empty when unknown */
  address: string;
  /** UUID of the running boot, empty before a report */
  boot_id: string;
  /** in milliseconds */
  pulse_period_ms: number;
  bmc: HostBmc | null;
  /** what operators say of a host */
  labels: Record<string, string>;
  facts: HostFacts;
  links: Link[];
  enrolled_at: Instant | null;
  reported_at: Instant | null;
}

/** A discovered host was accepted into the site; mtce watches it from now on. */
export interface HostAccepted {
  host: Host;
  reason: string;
}

/** What an operator may want done with a host. */
export type HostAction = "lock" | "force-lock" | "unlock" | "reset" | "reboot" | "power-on" |
  "power-off" | "reinstall" | "swact" | "force-swact" | "delete" | "unknown" | (string & {});

/** Body of POST /api/v1/hosts/{name}/actions and of …/plan, which changes nothing. */
export interface HostActionRequest {
  action: HostAction;
  operation_id?: string | null;
}

/** Where a host's BMC is; its password is in mtce's secret store and nowhere else. */
export interface HostBmc {
  protocol: BmcProtocol;
  /** host name or address, without scheme and port */
  address: string;
  user: string;
  /** TCP port */
  redfish_port: number;
  /** UDP port */
  ipmi_port: number;
  trust: BmcTrust;
  /** SHA-256 of the certificate, hex; with trust `pin` */
  pin: string;
  /** Redfish id or UUID, where a BMC has several systems */
  system: string;
}

/** A host has come up: how the boot before ended. Sent once for each boot. */
export interface HostBooted {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  boot_id: string;
  /** empty: none is known */
  previous_boot_id: string;
  previous_end: PreviousEnd;
  /** the last lines of it */
  record: string;
  observed_at: Instant;
}

/** A host has booted; how the boot before ended, dying told from lost. */
export interface HostCameUp {
  host: string;
  boot_id: string;
  previous_boot_id: string;
  previous_end: PreviousEnd;
  record: string;
  /** one sentence for people */
  reason: string;
}

/** A host's facts, links, boot or declaration changed. */
export interface HostChanged {
  host: Host;
  /** names of the fields that differ */
  changed: string[];
  reason: string;
}

/** What a host that has joined logs in with, together with the key that it made itself. */
export interface HostCredentials {
  host: string;
  /** NATS user JWT for `node_nkey` */
  node_jwt: string;
}

/** A host with at least one active alarm that degrades it. */
export interface HostDegrade {
  host: string;
  /** uuids of alarms, worst first */
  causes: string[];
  /** all of them */
  cause_count: number;
  since: Instant;
}

/** Links that appeared, changed or went since message n-1; a gap in n asks for a full report. */
export interface HostDelta {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  links_changed: Link[];
  /** names */
  links_removed: string[];
  observed_at: Instant;
}

/** A host enrolled for the first time. */
export interface HostDiscovered {
  host: Host;
  reason: string;
}

/** The last gasp: the host, or its agent, is about to end, and this is wanted. */
export interface HostEnding {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  boot_id: string;
  kind: EndKind;
  /** one sentence for people */
  reason: string;
  observed_at: Instant;
}

/** What a host is made of, read from /proc, /sys and SMBIOS; empty or 0 when not told. */
export interface HostFacts {
  vendor: string;
  product: string;
  serial: string;
  firmware: string;
  architecture: string;
  kernel: string;
  os: string;
  cpu_model: string;
  /** logical processors online */
  cpu_count: number;
  /** in bytes */
  memory_bytes: number;
  numa_node_count: number;
  /** hypervisor's name, empty on metal */
  virtualization: string;
}

/** mtce no longer watches a host, because it was removed from the inventory. */
export interface HostForgotten {
  host: string;
  reason: string;
}

/** Everything that is wrong on a host now, and what its monitors measure. */
export interface HostHealth {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  boot_id: string;
  conditions: Condition[];
  processes: ProcessView[];
  readings: Reading[];
  observed_at: Instant;
}

/** A host's conditions or monitored processes changed, as its agent sees them. */
export interface HostHealthChanged {
  health: HostHealth;
  /** conditions, as kind/name */
  appeared: string[];
  /** conditions, as kind/name */
  gone: string[];
  /** one sentence for people */
  reason: string;
}

/** A page of hosts, by name. */
export interface HostList {
  items: HostView[];
  next: string | null;
}

/** Do this with a host; mtce checks it again, and tells what becomes of it by events. */
export interface HostOrder {
  operation_id: string;
  host: string;
  action: HostAction;
  expires_at: Instant;
}

/** What an action would do, if everything goes well; nothing was changed. */
export interface HostPlan {
  host: string;
  action: HostAction;
  refusal: RefusalCode;
  /** one sentence: what it comes to, or why not */
  reason: string;
  /** who notices, in words */
  affected: string[];
  stages: PlannedStage[];
}

/** What ran in this boot of the host runs no more: its workload may move. */
export interface HostReleased {
  release: Release;
}

/** A host was deleted from the inventory; its pulse index is not given again in this epoch. */
export interface HostRemoved {
  host: string;
  /** pulse index, given at enrolment */
  index: number;
  reason: string;
}

/** Everything an agent sees on its host; sent at start, when asked, and every ten minutes. */
export interface HostReport {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  boot_id: string;
  facts: HostFacts;
  links: Link[];
  observed_at: Instant;
}

/** The states of one host, each axis apart, and why they are so. */
export interface HostState {
  host: string;
  /** pulse index, given at enrolment */
  index: number;
  administrative: Administrative;
  operational: Operational;
  availability: Availability;
  subfunction_operational: Operational;
  subfunction_availability: Availability;
  task: HostTask;
  /** of the action in progress, empty if none */
  operation_id: string;
  action: HostAction | null;
  /** when the work in progress goes on, whatever comes */
  deadline_at: Instant | null;
  /** why it is degraded; empty when well */
  health: HealthCause[];
  /** failures since it last served, by recovery cause */
  failures: Record<string, number>;
  /** the cause that failed too often */
  gave_up: RecoveryCause | null;
  /** what its silence is put down to, as alarm 200.017 has it for entity */
  storm: string;
  heartbeat: HeartbeatState;
  /** boot last heard, empty when none */
  boot_id: string;
  /** counts up each time it was heard well again */
  episode: number;
  last_heard_at: Instant | null;
  changed_at: Instant;
  /** one sentence: why the states are what they are */
  reason: string;
}

/** A host went from one state to another. */
export interface HostStateChanged {
  state: HostState;
  /** administrative-operational-availability before */
  previous: string;
  /** the figures the decision rests on */
  evidence: Record<string, string>;
}

/** One decision about a host: what led to it and what came of it. */
export interface HostStep {
  at: Instant;
  /** what happened */
  input: string;
  /** where the work in progress then stood */
  stage: string;
  /** administrative-operational-availability after it */
  state: string;
  operation_id: string;
  reason: string;
  evidence: Record<string, string>;
}

/** The work in progress on a host; TASK_TEXT says it to people. */
export type HostTask = "" | "locking" | "force-locking" | "unlocking" | "enabling" |
  "enabling-worker" | "rebooting" | "resetting" | "booting" | "testing" | "starting-services" |
  "stopping-services" | "soaking" | "graceful-recovery-wait" | "recovering" | "retry-wait" |
  "powering-on" | "powering-off" | "reinstalling" | "deleting" | "config-threshold" |
  "goenable-threshold" | "services-threshold" | "heartbeat-threshold" | "luks-threshold" |
  "reset-threshold" | "critical-resetting" | "critical-power-cycling" | "critical-power-down" |
  "unknown" | (string & {});

/** The go-enabled tests have ended; any failure fails the host. */
export interface HostTested {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  boot_id: string;
  operation_id: string;
  scope: InTestScope;
  passed: boolean;
  script_count: number;
  failures: ScriptFailure[];
  /** an earlier pass of this boot was still good */
  cached: boolean;
  observed_at: Instant;
}

/** A host as the site knows it: sysinv's facts and mtce's states side by side. */
export interface HostView {
  name: string;
  /** pulse index, given at enrolment */
  index: number;
  personality: Personality;
  origin: Origin;
  observe_only: boolean;
  admission: Admission;
  intended_administrative: Administrative;
  administrative: Administrative;
  operational: Operational;
  availability: Availability;
  subfunction_operational: Operational;
  subfunction_availability: Availability;
  /** code of the work in progress */
  task: HostTask;
  /** the same for people, empty when none */
  task_text: string;
  /** of the action in progress, empty if none */
  operation_id: string;
  /** when the work in progress goes on, whatever comes */
  deadline_at: Instant | null;
  /** why it is degraded */
  health: HealthCause[];
  /** the cause that failed too often */
  gave_up: RecoveryCause | null;
  heartbeat: HeartbeatState;
  reason: string;
  address: string;
  boot_id: string;
  /** in milliseconds */
  pulse_period_ms: number;
  changed_at: Instant | null;
  last_heard_at: Instant | null;
  reported_at: Instant | null;
  alarms: AlarmCounts;
  /** what operators say of a host */
  labels: Record<string, string>;
  facts: HostFacts;
  links: Link[];
}

/** Why a host is as it is: its decisions, oldest first, the last of which holds. */
export interface HostWhy {
  host: string;
  steps: HostStep[];
}

/** Which tests of go-enabled are run: those of every host, or those of what it also serves. */
export type InTestScope = "main" | "subfunction" | "unknown" | (string & {});

/** Something a producer said was refused, by itself; what stood beside it was taken in. */
export interface IntakeRejected {
  producer: string;
  /** of the refused message, as it named itself */
  type: string;
  refusal: Refusal;
  /** one sentence: what is wrong with it */
  reason: string;
  alarm_id: string;
  entity: string;
  /** what it said, cut to 1,024 characters */
  body: string;
}

/**
 * A host without credentials shows its join token and the public key it made for itself. The
 * token is good for one host and one key, until it expires; repeating the request with the
 * same key gives the same answer.
 */
export interface JoinHost {
  operation_id: string;
  host: string;
  /** the token's public part */
  token_jwt: string;
  /** public key, base32 */
  node_nkey: string;
  /** hex: the token's key signs `join <host> <node_nkey>` */
  proof: string;
}

/** Set and remove labels of a host; the others stay. */
export interface LabelHost {
  operation_id: string;
  host: string;
  /** what operators say of a host */
  labels?: Record<string, string>;
  removed?: string[];
}

/** Labels to set and to remove; the others stay. */
export interface LabelRequest {
  operation_id?: string | null;
  /** what operators say of a host */
  labels?: Record<string, string>;
  removed?: string[];
}

/** One network link of a host, as the kernel tells it. */
export interface Link {
  name: string;
  /** kernel interface index */
  index: number;
  /** ether, loopback, veth, bond, vlan, … */
  kind: string;
  /** colon form, empty when it has none */
  mac: string;
  /** in bytes */
  mtu_bytes: number;
  /** IFF_UP: somebody wants it up */
  admin_up: boolean;
  /** carrier and peer are there */
  oper_up: boolean;
  /** 0 when the driver does not say, in megabit per seconds */
  speed_mbps: number;
  addresses: string[];
  /** none: nobody speaks LLDP there, or nobody listens */
  neighbour: Neighbour | null;
}

/** A noteworthy moment that leaves no alarm behind (a customer log). */
export interface LogEntry {
  uuid: string;
  /** GGG.EEE */
  log_id: string;
  /** path of key=value, outermost first */
  entity: string;
  severity: Severity;
  event_type: AlarmType;
  probable_cause: string;
  reason_text: string;
  proposed_repair_action?: string;
  service_affecting?: boolean;
  /** the catalogue does not know its id */
  quarantined?: boolean;
  producer: string;
  logged_at: Instant;
  /** as the producer says */
  additional?: Record<string, string>;
}

/** A noteworthy moment was recorded. */
export interface LogRecorded {
  log: LogEntry;
}

/** What became of a request that made something: an alarm, a suppression. */
export interface MadeReply {
  operation_id: string;
  reason: string;
  /** <service>:<epoch>:<change> */
  after: string;
  /** of what was made */
  uuid: string;
}

/** How far the owner of an intake has taken in what a producer sent. */
export interface Mark {
  producer: string;
  /** start of the producer: only grows */
  incarnation: number;
  /** everything up to and with n is durable */
  n: number;
}

/** Sent after every batch that moved a producer's mark. */
export interface MarkPublished {
  producer: string;
  /** start of the producer: only grows */
  incarnation: number;
  /** everything up to and with n is durable */
  n: number;
}

/** How a label is compared. */
export type MatchOperator = "=" | "!=" | "=~" | "!~" | "unknown" | (string & {});

/** One condition on the labels of an alarm; an absent label is empty. */
export interface Matcher {
  /** see the runbook */
  label: string;
  operator: MatchOperator;
  value: string;
}

/** A stretch of the week in which routes that name it tell nothing. */
export interface MuteTime {
  name: string;
  /** none: all */
  weekdays?: Weekday[];
  /** minutes since midnight, UTC */
  from_minute?: number;
  /** not included */
  until_minute?: number;
}

/** Who is at the other end of a cable, by LLDP (IEEE 802.1AB). */
export interface Neighbour {
  /** system name, else chassis id */
  system: string;
  /** port id */
  port: string;
}

/**
 * What one replica of mtce hears, for the others: five times a second, never stored. Bit n
 * of a string of bits is pulse index n: bit n % 8 of byte n / 8; zeros at the end are left
 * out. A host with neither bit is one of which this replica does not know.
 */
export interface ObserverTold {
  /** of the replica */
  instance: string;
  /** the host it runs on */
  machine: string;
  /** why it doubts itself, empty when it does not */
  doubt: string;
  /** hex of bits: heard within four periods */
  heard: string;
  /** hex of bits: heard before, silent now */
  silent: string;
}

/** An action on a host, as far as it got. */
export interface Operation {
  operation_id: string;
  host: string;
  action: HostAction;
  task: HostTask;
  refusal: RefusalCode;
  /** one sentence: what is done, or why it ended so */
  reason: string;
  at: Instant;
  /** of the present stage */
  deadline_at: Instant | null;
}

/** mtce has begun what was ordered. */
export interface OperationAccepted {
  operation: Operation;
}

/** What was ordered is done. */
export interface OperationCompleted {
  operation: Operation;
}

/** What was ordered could not be done, or something else came in between. */
export interface OperationFailed {
  operation: Operation;
}

/** mtce does not do what was ordered; nothing was changed. */
export interface OperationRefused {
  operation: Operation;
}

/** X.731 operational state. */
export type Operational = "enabled" | "disabled" | "unknown" | (string & {});

/** Body of what an operator does to an alarm: who it is, and why. */
export interface OperatorRequest {
  operation_id?: string | null;
  /** who did it, as the gateway knows */
  author?: string;
  reason?: string;
}

/** How far an order has come. */
export type OrderOutcome = "begun" | "done" | "failed" | "lost" | "unknown" | (string & {});

/** The agent's answer, the same for every repeat but for how far it has come. */
export interface OrderReply {
  operation_id: string;
  host: string;
  /** boot that answers: another one after a reboot */
  boot_id: string;
  outcome: OrderOutcome;
  /** one sentence for people */
  reason: string;
}

/** What stands behind a host; everything but MACHINE is labelled wherever it is shown. */
export type Origin = "machine" | "namespace" | "simulated" | "unknown" | (string & {});

/** What the services have set aside, each oldest first, as far as they answer. */
export interface ParkedList {
  items: ParkedView[];
  /** services that did not answer */
  away: string[];
}

/** A message set aside, because it could not be decoded or applied. */
export interface ParkedMessage {
  /** as its service counts what it set aside */
  id: number;
  stream: string;
  /** its number in the stream */
  sequence: number;
  subject: string;
  type: string;
  entity: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  reason: string;
  parked_at: Instant;
  /** something newer of its entity was applied: it can only be dropped */
  superseded: boolean;
  headers: Record<string, string>;
  /** only where one is asked for; undecodable replaced */
  body: string;
}

/** What a service has set aside, oldest first. */
export interface ParkedMessages {
  service: string;
  messages: ParkedMessage[];
}

/** A message that a service set aside. */
export interface ParkedView {
  service: string;
  message: ParkedMessage;
}

/** What a host is for. */
export type Personality = "controller" | "worker" | "storage" | "unknown" | (string & {});

/** One stage of what would be done. */
export interface PlannedStage {
  stage: string;
  /** what is done, for people */
  text: string;
  /** kind of effect on the host, empty if none */
  effect: string;
  /** never sent twice, whatever is killed when */
  once: boolean;
  /** the longest it takes; 0: no time, in seconds */
  deadline_s: number;
  /** what follows when that time is over */
  otherwise: string;
}

/** How the boot before this one ended, as far as traces on the host tell. */
export type PreviousEnd = "first-boot" | "orderly" | "panic" | "watchdog" | "lost" | "unknown" |
  (string & {});

/** RFC 9457 problem details. */
export interface Problem {
  type: string;
  title: string;
  /** HTTP status code */
  status: number;
  detail: string;
}

/** Where the monitor is with a process. */
export type ProcessState = "waiting" | "starting" | "running" | "restarting" | "failed" |
  "ignored" | "unknown" | (string & {});

/** One monitored process. */
export interface ProcessView {
  name: string;
  state: ProcessState;
  severity: Severity;
  /** 0: none */
  pid: number;
  /** by the monitor, since it started */
  restart_count: number;
  /** the watchdog bites when it cannot be kept up */
  quorum: boolean;
}

/** Body of PUT /api/v1/alarm-catalogue/{id}/profile; what is none is as the catalogue has it. */
export interface ProfileRequest {
  operation_id?: string | null;
  /** given to every alarm of the id */
  severity?: Severity | null;
  /** from which severity on it blocks orchestrated changes */
  management_reach?: Reach | null;
  /** from which severity on it degrades its host */
  degrade_reach?: Reach | null;
  /** who did it, as the gateway knows */
  author?: string;
  comment?: string;
}

/** By what it is certain that a boot of a host runs no more. */
export type Proof = "power-off" | "watchdog" | "goodbye" | "isolated" | "unknown" | (string & {});

/** What the monitor heard in the last half second, for the live trace; never stored. */
export interface PulseDigest {
  at: Instant;
  /** in milliseconds */
  window_ms: number;
  hosts: PulseSample[];
}

/** SSE event `pulse`: the live heartbeat trace, twice a second, not resumable. */
export interface PulseFrame {
  at: Instant;
  /** in milliseconds */
  window_ms: number;
  hosts: PulseSample[];
}

/** One host in a digest. */
export type PulseSample = [
  host: string,
  /** frames that came in the window, NATS */
  received: number,
  /** frames that came in the window, UDP */
  received_udp: number,
  /** since the last frame on any path, in milliseconds */
  silent_ms: number,
  /** 1 min load average over cores, x 100 */
  load_percent: number,
];

/**
 * A producer says that a fault is there. Repeating it counts, and is not history. An agent
 * of a host (`node-<host>`) speaks for entities of its own host alone.
 */
export interface RaiseAlarm {
  /** GGG.EEE */
  alarm_id: string;
  /** path of key=value, outermost first */
  entity: string;
  severity: Severity;
  reason_text: string;
  alarm_type: AlarmType;
  /** X.733 probable cause */
  probable_cause: string;
  specific_problem?: string;
  proposed_repair_action?: string;
  service_affecting?: boolean;
  raised_at: Instant;
  threshold?: Threshold | null;
  /** an alarm already active stays as it is, and is only counted */
  keep_existing?: boolean;
  /** cleared when not raised for so long; 0: never, in seconds */
  lease_s?: number;
  /** as the producer says */
  additional?: Record<string, string>;
}

/** A program or person raises an alarm through the gateway; a repeat counts, as a producer's. */
export interface RaiseAlarmByOperator {
  operation_id: string;
  /** who did it, as the gateway knows */
  author: string;
  alarm: RaiseAlarm;
}

/** Body of POST /api/v1/alarms: what a program or a person saw. */
export interface RaiseRequest {
  operation_id?: string | null;
  /** who did it, as the gateway knows */
  author?: string;
  alarm: RaiseAlarm;
}

/** Reply: the alarm stands, or the log entry is kept, under this uuid. */
export interface Raised {
  operation_id: string;
  service: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  /** one sentence: what was done */
  reason: string;
  uuid: string;
}

/** From which severity on an alarm affects something; `none`: never. */
export type Reach = "none" | "warning" | "minor" | "major" | "critical" | "unknown" | (string &
  {});

/** One measured value: a sensor, or how far a resource is used. */
export interface Reading {
  kind: ConditionKind;
  name: string;
  /** in `unit` */
  value: number;
  /** %, C, V, W, A, rpm, … */
  unit: string;
  /** none: within its thresholds */
  severity: Severity | null;
}

/** Reboot the host: orderly, and by the kernel alone when that takes too long. */
export interface RebootHost {
  operation_id: string;
  host: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  expires_at: Instant;
  /** seconds for services to stop; 0: at once, in seconds */
  orderly_s?: number;
}

/** Somebody who is told of alarms. */
export interface Receiver {
  name: string;
  kind: ReceiverKind;
  /** http://, https://, or snmp://host:port */
  url: string;
  /**
   * file `receiver-<secret>` of fm's credentials: key of the signature, bearer token, or
   * community
   */
  secret?: string;
  /** also told when alarms clear */
  send_resolved?: boolean;
  comment?: string;
}

/** How a receiver is told. */
export type ReceiverKind = "webhook" | "alertmanager" | "snmp" | "unknown" | (string & {});

/** Body of PUT /api/v1/receivers/{name}: who is told, and how. */
export interface ReceiverRequest {
  operation_id?: string | null;
  kind: ReceiverKind;
  /** http://, https://, or snmp://host:port */
  url: string;
  /** name of a file that fm reads; see the runbook */
  secret?: string;
  send_resolved?: boolean;
  comment?: string;
  /** who did it, as the gateway knows */
  author?: string;
}

/** A receiver, and how it is going. */
export interface ReceiverStatus {
  receiver: Receiver;
  /** notifications not yet delivered */
  waiting?: number;
  /** notifications given up for their age */
  dead?: number;
  /** last success */
  delivered_at?: Instant | null;
  /** last failure */
  failed_at?: Instant | null;
  /** of the last failure */
  error?: string;
}

/** All receivers, by name. */
export interface Receivers {
  items: ReceiverStatus[];
}

/** A producer notes a moment worth keeping, without an alarm. */
export interface RecordLog {
  /** GGG.EEE */
  log_id: string;
  /** path of key=value, outermost first */
  entity: string;
  severity: Severity;
  reason_text: string;
  event_type: AlarmType;
  /** X.733 probable cause */
  probable_cause: string;
  proposed_repair_action?: string;
  service_affecting?: boolean;
  logged_at: Instant;
  /** as the producer says */
  additional?: Record<string, string>;
}

/** A program or person records a log entry through the gateway. */
export interface RecordLogByOperator {
  operation_id: string;
  /** who did it, as the gateway knows */
  author: string;
  log: RecordLog;
}

/** Why a host failed while it was brought into service; tries are limited for each. */
export type RecoveryCause = "config" | "goenable" | "host-services" | "heartbeat" | "luks" |
  "reset" | "critical" | "unknown" | (string & {});

/** Why fm did not take in what a producer said. */
export type Refusal = "malformed" | "unknown-word" | "entity" | "foreign-host" | "unknown" |
  (string & {});

/** Why an action is refused; the sentence beside it says what to do. */
export type RefusalCode = "" | "not-accepted" | "observe-only" | "simulated" | "host-unlocked" |
  "host-powered-off" | "host-offline" | "action-running" | "active-controller" |
  "controller-redundancy" | "bmc-not-configured" | "bmc-not-connected" | "swact-unsupported" |
  "not-a-controller" | "unknown-host" | "unknown-action" | "unknown" | (string & {});

/** Whether and when the workload of a lost host may move. */
export interface Release {
  host: string;
  boot_id: string;
  /** with the boot, names the loss */
  episode: number;
  policy: FencePolicy;
  /** earliest moment; none while no proof with a known time is to be had */
  at: Instant | null;
  proof: Proof | null;
  /** what the proof rests on */
  evidence: Record<string, string>;
  /** one sentence for people */
  reason: string;
}

/** A lost host's workload is to move as soon as there is proof; `at` says when at the latest. */
export interface ReleasePlanned {
  release: Release;
}

/** The host is heard again. After a release: of the same boot it contradicts the proof. */
export interface ReleaseWithdrawn {
  release: Release;
  /** a released boot is heard: look at once */
  contradicts: boolean;
}

/** Remove a receiver with what is waiting for it; refused while a route names it. */
export interface RemoveReceiver {
  operation_id: string;
  name: string;
  /** who did it, as the gateway knows */
  author: string;
}

/** Show again what a suppression hides. */
export interface RemoveSuppression {
  operation_id: string;
  id: string;
  /** who did it, as the gateway knows */
  author?: string;
}

/** Send again what was given up for a receiver. */
export interface RetryDeliveries {
  operation_id: string;
  name: string;
  /** who did it, as the gateway knows */
  author: string;
}

/** Apply a parked message now; refused when something newer of its entity was applied. */
export interface RetryParked {
  operation_id: string;
  /** as its service counts what it set aside */
  id: number;
}

/** One node of the tree: alarms that fit are told to its receiver, or by a route below it. */
export interface Route {
  name: string;
  /** a route named before; empty: root */
  parent?: string;
  /** empty: that of its parent */
  receiver?: string;
  /** all must fit; none: all alarms */
  matchers?: Matcher[];
  group_by?: string[] | null;
  /** in seconds */
  group_wait_s?: number | null;
  /** in seconds */
  group_interval_s?: number | null;
  /** in seconds */
  repeat_interval_s?: number | null;
  /** the routes after it are tried as well */
  goes_on?: boolean;
  /** tell alarms with a known cause too; none: as its parent */
  symptoms?: boolean | null;
  /** names; nothing is told in them */
  mute_times?: string[];
}

/** All routes, in the order in which they are tried, and the mute times they name. */
export interface Routing {
  routes?: Route[];
  mute_times?: MuteTime[];
}

/** Body of PUT /api/v1/routing: all routes and mute times, instead of those there are. */
export interface RoutingRequest {
  operation_id?: string | null;
  routing: Routing;
  /** who did it, as the gateway knows */
  author?: string;
}

/** Run the go-enabled tests; the result is reported as `mtce.host.tested`. */
export interface RunInTest {
  operation_id: string;
  host: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  expires_at: Instant;
  scope?: InTestScope;
  /** for all tests together, in seconds */
  deadline_s?: number;
}

/** One script that did not succeed. */
export interface ScriptFailure {
  script: string;
  /** one sentence for people */
  reason: string;
}

/** The secret store has it, or has it no more. */
export interface SecretKept {
  operation_id: string;
  /** one sentence for people */
  reason: string;
}

/** Sensors of a host went into other states, seen twice in a row. */
export interface SensorsChanged {
  host: string;
  sensors: BmcSensor[];
  /** one sentence for people */
  reason: string;
}

/** What a service answers to a health question; also the body of its /readyz. */
export interface ServiceStatus {
  service: string;
  instance: string;
  ready: boolean;
  /** one sentence, empty when all is well */
  reason: string;
  /** active, or standby behind another replica */
  role: string;
  /** outbox rows not yet on the bus */
  relay_lag: number;
  /** messages not yet taken in */
  consumer_lag: number;
  /** messages set aside as undecodable */
  parked: number;
  /** effects that wait for an operator */
  held: number;
  /** in seconds */
  uptime_s: number;
}

/** What is done with a host's services. */
export type ServicesAction = "start" | "stop" | "unknown" | (string & {});

/** Whose services: the folder of scripts that is run. */
export type ServicesGroup = "controller" | "worker" | "storage" | "unknown" | (string & {});

/** The scripts that start or stop a host's services have ended. */
export interface ServicesSwitched {
  host: string;
  /** ns clock at the agent's start: only grows */
  incarnation: number;
  /** number of this message in the incarnation */
  n: number;
  boot_id: string;
  operation_id: string;
  action: ServicesAction;
  group: ServicesGroup;
  passed: boolean;
  script_count: number;
  failures: ScriptFailure[];
  observed_at: Instant;
}

/** Say what administrative state a host is intended to have; mtce carries it out. */
export interface SetAdministrative {
  operation_id: string;
  host: string;
  administrative: Administrative;
}

/** Keep the password of a host's BMC, or forget it when it is empty. Repeating does no harm. */
export interface SetBmcSecret {
  operation_id: string;
  host: string;
  password: string;
}

/** Declare where the BMC of a host is, or that it has none; bears no password. */
export interface SetHostBmc {
  operation_id: string;
  host: string;
  bmc: HostBmc | null;
}

/** Say otherwise than the catalogue about one id; what is none is as the catalogue has it. */
export interface SetProfile {
  operation_id: string;
  /** GGG.EEE */
  alarm_id: string;
  /** given to every alarm of the id */
  severity?: Severity | null;
  management_reach?: Reach | null;
  degrade_reach?: Reach | null;
  /** who did it, as the gateway knows */
  author: string;
  comment?: string;
}

/** Add a receiver, or change it; a new one is told what is active now. */
export interface SetReceiver {
  operation_id: string;
  receiver: Receiver;
  /** who did it, as the gateway knows */
  author: string;
}

/** Replace all routes and mute times. */
export interface SetRouting {
  operation_id: string;
  routing: Routing;
  /** who did it, as the gateway knows */
  author: string;
}

/** X.733 perceived severity. */
export type Severity = "critical" | "major" | "minor" | "warning" | "indeterminate" | "unknown" |
  (string & {});

/** Alarms that fit are not told to anybody from `starts_at` to `ends_at`; they stay in lists. */
export interface Silence {
  id: string;
  matchers: Matcher[];
  starts_at: Instant;
  ends_at: Instant;
  /** who did it, as the gateway knows */
  author: string;
  comment?: string;
  created_at: Instant;
  state?: SilenceState;
}

/** Body of POST /api/v1/silences. */
export interface SilenceRequest {
  operation_id?: string | null;
  matchers: Matcher[];
  /** none: now */
  starts_at?: Instant | null;
  ends_at: Instant;
  /** who did it, as the gateway knows */
  author?: string;
  comment?: string;
}

/** Where a silence is in its life. */
export type SilenceState = "pending" | "active" | "expired" | "unknown" | (string & {});

/** Silences, those that end first coming first. */
export interface Silences {
  items: Silence[];
}

/** The site in one answer. */
export interface SiteView {
  name: string;
  version: string;
  started_at: Instant;
  health: HealthView;
  host_count: number;
  hosts_by_availability: Record<string, number>;
  alarms: AlarmCounts;
  /** some hosts are only modelled */
  simulated: boolean;
}

/** The whole state was just told afresh: what was last told before `since` is no more. */
export interface StatePublished {
  service: string;
  /** life of the sender's database */
  since_epoch: number;
  /** number of the change in that life */
  since_change: number;
}

/** What operators do not want to see: all that is named must fit, what is empty fits all. */
export interface Suppression {
  id: string;
  /** GGG.EEE; empty: any */
  alarm_id?: string;
  /** path of components, `*` within one; covers what is below */
  entity?: string;
  /** none: all */
  severities?: Severity[];
  /** who did it, as the gateway knows */
  author: string;
  comment?: string;
  created_at: Instant;
  /** none: until it is removed */
  expires_at?: Instant | null;
}

/** A suppression is there (`active`), or was removed or ran out. */
export interface SuppressionChanged {
  suppression: Suppression;
  active: boolean;
  /** one sentence */
  reason: string;
}

/** Suppressions in force, oldest first. */
export interface SuppressionList {
  items: Suppression[];
}

/** Body of POST /api/v1/suppressions: at least one of alarm id, entity and severities. */
export interface SuppressionRequest {
  operation_id?: string | null;
  alarm_id?: string;
  /** path of components, `*` within one */
  entity?: string;
  severities?: Severity[];
  /** who did it, as the gateway knows */
  author?: string;
  comment?: string;
  /** none: until it is removed */
  expires_at?: Instant | null;
}

/** Start or stop the host's services by its scripts; reported as `services_switched`. */
export interface SwitchServices {
  operation_id: string;
  host: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  expires_at: Instant;
  action: ServicesAction;
  group: ServicesGroup;
  /** for all scripts, in seconds */
  deadline_s?: number;
}

/** X.733 threshold information: what was measured, and what it crossed. */
export interface Threshold {
  /** what is measured */
  attribute: string;
  /** the value that crossed, in `unit` */
  observed: number;
  /** what was crossed, in `unit` */
  level: number;
  /** back beyond this: clear, in `unit` */
  rearm?: number | null;
  unit?: string;
  /** last (re-)armed */
  armed_at?: Instant | null;
}

/** fm's own clock, read where it reads its producers: while it reads none, no lease runs out. */
export interface Tick {
  /** what passed since the last one, in seconds */
  period_s: number;
  at: Instant;
}

/** X.733 trend indication: how the severity moved with the last change. */
export type Trend = "more-severe" | "less-severe" | "no-change" | "unknown" | (string & {});

/** Send a test notification; how it went is seen in the receiver's status. */
export interface TryReceiver {
  operation_id: string;
  name: string;
  /** who did it, as the gateway knows */
  author: string;
}

/** A day of the week. */
export type Weekday = "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" |
  "sunday" | "unknown" | (string & {});

/** Why an alarm is there: the chain to its root, and what the root explains. */
export interface Why {
  alarm: Alarm;
  /** nearest first */
  causes: Cause[];
  /** others of the same root */
  sibling_count: number;
  /** entities, the first 200 */
  impacted: string[];
  /** alarms it explains */
  impacted_count: number;
}

/** Run the configured wipe program before the host is given away; refused where none is. */
export interface WipeHost {
  operation_id: string;
  host: string;
  /** life of the sender's database */
  epoch: number;
  /** number of the change in that life */
  change: number;
  expires_at: Instant;
}

/** Payload of each event by its type: `EventView.data`, given `EventView.type`. */
export interface EventPayloads {
  "fm.alarm.changed.v1": AlarmChanged;
  "fm.alarm.cleared.v1": AlarmCleared;
  "fm.alarm.raised.v1": AlarmRaised;
  "fm.degrade.asserted.v1": DegradeAsserted;
  "fm.degrade.cleared.v1": DegradeCleared;
  "fm.epoch.started.v1": EpochStarted;
  "fm.gate.blocked.v1": GateBlocked;
  "fm.gate.freed.v1": GateFreed;
  "fm.intake.rejected.v1": IntakeRejected;
  "fm.log.recorded.v1": LogRecorded;
  "fm.state.published.v1": StatePublished;
  "fm.suppression.changed.v1": SuppressionChanged;
  "mtce.bmc.state_changed.v1": BmcStateChanged;
  "mtce.epoch.started.v1": EpochStarted;
  "mtce.host.came_up.v1": HostCameUp;
  "mtce.host.forgotten.v1": HostForgotten;
  "mtce.host.health_changed.v1": HostHealthChanged;
  "mtce.host.release_planned.v1": ReleasePlanned;
  "mtce.host.release_withdrawn.v1": ReleaseWithdrawn;
  "mtce.host.released.v1": HostReleased;
  "mtce.host.state_changed.v1": HostStateChanged;
  "mtce.operation.accepted.v1": OperationAccepted;
  "mtce.operation.completed.v1": OperationCompleted;
  "mtce.operation.failed.v1": OperationFailed;
  "mtce.operation.refused.v1": OperationRefused;
  "mtce.sensor.state_changed.v1": SensorsChanged;
  "mtce.state.published.v1": StatePublished;
  "sysinv.epoch.started.v1": EpochStarted;
  "sysinv.host.accepted.v1": HostAccepted;
  "sysinv.host.changed.v1": HostChanged;
  "sysinv.host.discovered.v1": HostDiscovered;
  "sysinv.host.removed.v1": HostRemoved;
  "sysinv.state.published.v1": StatePublished;
}
