/** Alarms as they stand on the page: what nothing explains on top, below a root what it explains. */

import { isShown } from './model';
import type { AlarmView } from './types';
import { alarmOrder, knownSeverity, type KnownSeverity } from './words';

export interface Group {
  top: AlarmView;
  /** What of that the top explains is known here, worst first. */
  below: AlarmView[];
  /** How many it explains, known here or not. */
  count: number;
}

export interface Choice {
  severity: KnownSeverity | null;
  masked: boolean;
  suppressed: boolean;
}

/** Groups in the order of the list. With a severity chosen every alarm of it stands by itself. */
export function groups(alarms: Iterable<AlarmView>, choice: Choice): Group[] {
  const wanted: AlarmView[] = [];
  const known = new Map<string, AlarmView>();
  for (const alarm of alarms) {
    if (!fits(alarm, choice)) continue;
    wanted.push(alarm);
    known.set(alarm.uuid, alarm);
  }
  wanted.sort(alarmOrder);
  const found = new Map<string, Group>();
  const tops: Group[] = [];
  for (const alarm of wanted) {
    if (choice.severity === null && alarm.root_cause && known.has(alarm.root_cause)) continue;
    const group = { top: alarm, below: [], count: alarm.impacted_count ?? 0 };
    found.set(alarm.uuid, group);
    tops.push(group);
  }
  for (const alarm of wanted) {
    if (found.has(alarm.uuid) || !alarm.root_cause) continue;
    found.get(alarm.root_cause)?.below.push(alarm);
  }
  for (const group of tops) group.count = Math.max(group.count, group.below.length);
  return tops;
}

function fits(alarm: AlarmView, choice: Choice): boolean {
  if (choice.severity !== null && knownSeverity(alarm.severity) !== choice.severity) return false;
  if (isShown(alarm)) return true;
  return (!alarm.masked || choice.masked) && (!alarm.suppressed || choice.suppressed);
}

/** What else is to be known of an alarm, in a few words each. */
export function marks(alarm: AlarmView): string[] {
  const found: string[] = [];
  if (alarm.acknowledged_at) found.push(`acknowledged by ${alarm.acknowledged_by ?? ''}`.trim());
  if (alarm.masked) found.push('masked');
  if (alarm.suppressed) found.push('suppressed');
  if (alarm.flapping) found.push('comes and goes');
  if (alarm.stale) found.push('its producer is silent');
  if (alarm.quarantined) found.push('not in the catalogue');
  return found;
}
