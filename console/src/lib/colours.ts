/** The page's colours as a canvas needs them: resolved for the theme in force. */

import type { TraceColours } from './trace';
import type { KnownSeverity } from './words';

export type PlotColours = Record<KnownSeverity | 'ink' | 'rule', string>;

let plot: { generation: number; colours: PlotColours } | undefined;

/** The colours of the plot of alarms. */
export function plotColours(generation: number): PlotColours {
  if (plot?.generation === generation) return plot.colours;
  const style = (name: string) => resolveAll([name])[0] ?? '';
  const colours: PlotColours = {
    critical: style('--critical'),
    major: style('--major'),
    minor: style('--minor'),
    warning: style('--warning'),
    indeterminate: style('--quiet'),
    ink: style('--ink-3'),
    rule: style('--rule-soft'),
  };
  plot = { generation, colours };
  return colours;
}

/** What the browser makes of variables of the style sheet. */
function resolveAll(names: string[]): string[] {
  const probe = document.createElement('span');
  document.body.append(probe);
  const found = names.map((name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return found;
}

let cached: { generation: number; colours: TraceColours } | undefined;

/** `generation` names the theme's life: another one reads the colours again. */
export function traceColours(generation: number): TraceColours {
  if (cached?.generation === generation) return cached.colours;
  const [well, wellFill, thin, silent, unknown] = resolveAll([
    '--trace-well',
    '--trace-fill',
    '--minor',
    '--critical',
    '--trace-unknown',
  ]) as [string, string, string, string, string];
  const colours = { well, wellFill, thin, silent, unknown };
  cached = { generation, colours };
  return colours;
}
