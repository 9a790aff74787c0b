/** The page's colours as a canvas needs them: resolved for the theme in force. */

import type { TraceColours } from './trace';

let cached: { generation: number; colours: TraceColours } | undefined;

/** `generation` names the theme's life: another one reads the colours again. */
export function traceColours(generation: number): TraceColours {
  if (cached?.generation === generation) return cached.colours;
  const probe = document.createElement('span');
  document.body.append(probe);
  const resolve = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    well: resolve('--trace-well'),
    wellFill: resolve('--trace-fill'),
    thin: resolve('--minor'),
    silent: resolve('--critical'),
    unknown: resolve('--trace-unknown'),
  };
  probe.remove();
  cached = { generation, colours };
  return colours;
}
