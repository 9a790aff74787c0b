/** States, counts and figures in the words a person reads. */

import type { AlarmView, HostView, Link, Origin, Severity } from './types';

export const SEVERITIES = ['critical', 'major', 'minor', 'warning', 'indeterminate'] as const;
export type KnownSeverity = (typeof SEVERITIES)[number];

export const SEVERITY_WORDS: Record<Severity, string> = {
  critical: 'Critical',
  major: 'Major',
  minor: 'Minor',
  warning: 'Warning',
  indeterminate: 'Indeterminate',
  unknown: 'Indeterminate',
};

/** A severity of a newer sender counts as indeterminate: shown, never dropped. */
export function knownSeverity(severity: string): KnownSeverity {
  return (SEVERITIES as readonly string[]).includes(severity)
    ? (severity as KnownSeverity)
    : 'indeterminate';
}

/** What a host is to an operator, one answer of six. */
export const STANDINGS = ['service', 'degraded', 'failed', 'offline', 'locked', 'waiting'] as const;
export type Standing = (typeof STANDINGS)[number];

export const STANDING_WORDS: Record<Standing, string> = {
  service: 'In service',
  degraded: 'Degraded',
  failed: 'Failed',
  offline: 'Offline',
  locked: 'Locked',
  waiting: 'Waiting',
};

const WORST_FIRST: Record<Standing, number> = {
  failed: 0,
  offline: 1,
  degraded: 2,
  waiting: 3,
  locked: 4,
  service: 5,
};

export function standing(host: HostView): Standing {
  if (host.admission === 'discovered') return 'waiting';
  if (host.administrative === 'locked') return 'locked';
  if (host.operational === 'enabled') {
    return host.availability === 'available' ? 'service' : 'degraded';
  }
  if (host.availability === 'failed') return 'failed';
  if (host.availability === 'offline') return 'offline';
  return 'waiting';
}

export function worseFirst(a: HostView, b: HostView): number {
  return WORST_FIRST[standing(a)] - WORST_FIRST[standing(b)] || byName(a, b);
}

const NAMES = new Intl.Collator('en', { numeric: true });

export function byName(a: { name: string }, b: { name: string }): number {
  return NAMES.compare(a.name, b.name);
}

/** The host's states as a plain phrase. */
export function plainState(host: HostView): string {
  return [basicState(host), intention(host), taskWords(host.task)].filter(Boolean).join(', ');
}

function basicState(host: HostView): string {
  if (host.admission === 'discovered') return 'Waiting to be accepted';
  if (host.administrative === 'locked') {
    return host.availability === 'online' || host.availability === 'offline'
      ? `Locked, ${host.availability}`
      : 'Locked';
  }
  if (host.operational === 'enabled') {
    return host.availability === 'available' ? 'In service' : 'In service, degraded';
  }
  switch (host.availability) {
    case 'failed':
      return 'Failed';
    case 'offline':
      return 'Offline';
    case 'online':
      return 'Online, not in service';
    default:
      return 'Not known yet';
  }
}

function intention(host: HostView): string {
  if (host.admission === 'discovered') return '';
  const { intended_administrative: intended, administrative } = host;
  if (intended === administrative || intended === 'unknown') return '';
  return intended === 'locked' ? 'to be locked' : 'to be unlocked';
}

function taskWords(task: string): string {
  return task.replaceAll('_', ' ');
}

/** administrative-operational-availability, as X.731 has them. */
export function triple(host: HostView): string {
  return `${host.administrative}-${host.operational}-${host.availability}`;
}

export const ORIGIN_WORDS: Record<Origin, string> = {
  machine: 'machine',
  namespace: 'namespace',
  simulated: 'simulated',
  unknown: 'origin unknown',
};

export const ORIGIN_EXPLAINED: Record<Origin, string> = {
  machine: 'A real machine with an agent on it.',
  namespace: 'A network namespace on one machine, with real links and real agents.',
  simulated: 'A model inside the simulator; no hardware stands behind it.',
  unknown: 'What stands behind this host is not known to this version of the console.',
};

/** Labels that say what of the site is not an ordinary machine: never left out. */
export function siteLabels(hosts: Iterable<HostView>): { text: string; explained: string }[] {
  const counts: Record<Origin, number> = { machine: 0, namespace: 0, simulated: 0, unknown: 0 };
  let observed = 0;
  for (const host of hosts) {
    counts[host.origin in counts ? host.origin : 'unknown'] += 1;
    if (host.observe_only) observed += 1;
  }
  const labels = [];
  if (counts.simulated) {
    labels.push({ text: `${counts.simulated} simulated`, explained: ORIGIN_EXPLAINED.simulated });
  }
  if (counts.namespace) {
    labels.push({
      text: plural(counts.namespace, 'namespace'),
      explained: ORIGIN_EXPLAINED.namespace,
    });
  }
  if (counts.unknown) {
    labels.push({ text: `${counts.unknown} of unknown origin`, explained: ORIGIN_EXPLAINED.unknown });
  }
  if (observed) {
    labels.push({
      text: `${observed} observe-only`,
      explained: 'Agents there read everything and refuse every change.',
    });
  }
  return labels;
}

/** The host an entity path is about, or null: `host=worker-1.link=eth0` is about worker-1. */
export function hostOfEntity(entity: string): string | null {
  return /(?:^|[./])host=([a-z0-9-]+)/.exec(entity)?.[1] ?? null;
}

export function eventIsAbout(subject: string, host: string): boolean {
  return subject === host || subject.split(/[\s/]+/).some((part) => hostOfEntity(part) === host);
}

/** Worst first, newest first within a severity, as the gateway lists them. */
export function alarmOrder(a: AlarmView, b: AlarmView): number {
  return (
    SEVERITIES.indexOf(knownSeverity(a.severity)) - SEVERITIES.indexOf(knownSeverity(b.severity)) ||
    b.first_raised_at.localeCompare(a.first_raised_at) ||
    a.uuid.localeCompare(b.uuid)
  );
}

/** `mtce.host.state_changed.v1` as `mtce.host.state_changed`. */
export function shortType(type: string): string {
  return type.replace(/\.v\d+$/, '');
}

export function linkState(link: Link): { word: string; up: boolean; wanted: boolean } {
  if (link.oper_up) return { word: 'up', up: true, wanted: link.admin_up };
  return link.admin_up
    ? { word: 'no carrier', up: false, wanted: true }
    : { word: 'down', up: false, wanted: false };
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < BYTES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${BYTES[unit]}`;
}

export function speed(mbps: number): string {
  if (mbps <= 0) return '';
  return mbps >= 1000 ? `${mbps / 1000} Gb/s` : `${mbps} Mb/s`;
}
